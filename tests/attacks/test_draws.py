"""Random numbers belong to (seed, stream, image, round); distributions are compared with SciPy's."""

import torch
from scipy import stats

from attacks.draws import Draws

IDS = torch.tensor([5, 0, 900, 17])


def test_numbers_follow_the_image_in_any_order_and_part() -> None:
    draws = Draws(seed=1, sample_ids=IDS)
    for numbers in (
        lambda part: part.uniform("a", (2, 3)),
        lambda part: part.normal("a", (2, 3)),
        lambda part: part.integers("a", 1000),
    ):
        whole = numbers(draws)
        assert len(whole.flatten(1).unique(dim=0) if whole.ndim > 1 else whole.unique()) == len(IDS)
        for indices in (torch.tensor([3, 1, 0, 2]), torch.tensor([2])):
            assert torch.equal(numbers(draws.select(indices)), whole[indices])
        mask = torch.tensor([True, False, True, False])
        assert torch.equal(numbers(draws.select(mask)), whole[mask])


def test_seed_stream_and_round_each_change_the_numbers() -> None:
    draws = Draws(seed=1, sample_ids=IDS)
    first = draws.uniform("pgd", (8,))
    assert torch.equal(first, Draws(seed=1, sample_ids=IDS.clone()).uniform("pgd", (8,), round_=0))
    for other in (
        Draws(seed=2, sample_ids=IDS).uniform("pgd", (8,)),
        draws.uniform("noise", (8,)),
        draws.uniform("pgd", (8,), round_=1),
    ):
        assert not bool((first == other).any())


def test_distributions() -> None:
    draws = Draws(seed=0, sample_ids=torch.arange(300))
    for sample, distribution in (
        (draws.uniform("a", (10,)), stats.uniform),
        (draws.normal("a", (10,)), stats.norm),
    ):
        assert sample.dtype == torch.float32
        assert stats.kstest(sample.flatten().double().numpy(), distribution.cdf).pvalue > 0.01  # seed fixed
    whole = draws.integers("target", 9)
    assert whole.dtype == torch.int64
    assert set(whole.tolist()) == set(range(9))


def test_no_images_still_have_a_shape() -> None:
    draws = Draws(seed=0, sample_ids=IDS[:0])
    assert draws.normal("a", (1, 8, 8)).shape == (0, 1, 8, 8)
    assert draws.integers("a", 9).dtype == torch.int64
