"""What holds for every registered attack, classifier and detector, whoever adds the next one.

Expected values are the contracts' own words: images in [0, 1] and in the ball, modes, shapes, finite scores.
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from journals import MemoryJournal, StoppedError
from small_attacks import SMALL, options_of, small_config
from small_watched import watched_by_brightness
from torch import Generator, Tensor, nn

from attacks.contract import AttackEntry, CraftedBatch, craft
from attacks.draws import Draws
from attacks.goal import Goal
from attacks.pgd import PgdConfig
from attacks.registry import ATTACKS
from bench.datasets.contract import LoadRequest, Split
from bench.datasets.registry import DATASETS, load_dataset
from bench.options import OPTIONS
from defenses.contract import BuildRequest, Classifier, ClassifierEntry, DetectorEntry
from defenses.networks.registry import FAMILIES, build_baseline, build_er_network
from defenses.registry import DEFENSES

CLASSIFIERS = [entry for entry in DEFENSES if isinstance(entry, ClassifierEntry) and entry.train is not None]
DETECTORS = [entry for entry in DEFENSES if isinstance(entry, DetectorEntry)]


@pytest.fixture(scope="module")
def digits() -> Split:
    """120 training images of the digits."""
    return load_dataset("digits", LoadRequest(data_dir=Path("nowhere"))).train.take(torch.arange(120))


@pytest.mark.parametrize("entry", [*ATTACKS, *DEFENSES, *DATASETS, *FAMILIES], ids=lambda entry: entry.name)
def test_every_entry_says_what_it_is_and_where_it_comes_from(entry: Any) -> None:
    for text in (entry.name, entry.summary, entry.source):
        assert text.strip() == text != ""
        assert "\n" not in text
    assert entry.name == entry.name.lower()
    assert " " not in entry.name


@pytest.mark.parametrize("entry", [*ATTACKS, *DEFENSES], ids=lambda entry: entry.name)
def test_every_option_is_one_that_a_user_can_give(entry: Any) -> None:
    if isinstance(entry, AttackEntry):
        assert options_of(entry) <= set(OPTIONS)
    else:
        assert entry.options <= set(OPTIONS)


def test_only_the_users_own_model_comes_trained() -> None:
    (given,) = [entry for entry in DEFENSES if isinstance(entry, ClassifierEntry) and entry not in CLASSIFIERS]
    assert (given.name, given.build, given.options) == ("model", None, frozenset())


def test_everything_named_in_the_readme_is_registered() -> None:
    assert set(ATTACKS.names()) >= {"fgsm", "pgd", "cw", "apgd-ce", "apgd-dlr", "apgd-t", "fab", "square", "noise"}
    assert set(DEFENSES.names()) >= {"standard", "madry", "e-cla", "er-classifier", "er-classifier-at"}
    assert set(DEFENSES.names()) >= {"kd", "lid", "er1", "er2", "er1-minus", "er2-minus"}
    names = {"digits", "mnist", "fashion-mnist", "cifar10", "stl10", "tiny-imagenet", "folder"}
    assert set(DATASETS.names()) >= names


def _attack(entry: AttackEntry, images: Tensor) -> CraftedBatch:
    model = nn.Sequential(nn.Flatten(), nn.Linear(75, 8), nn.Tanh(), nn.Linear(8, 5)).eval()
    generator = Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
        goal = Goal(classes=model(images).argmax(dim=1))
    draws = Draws(seed=0, sample_ids=torch.arange(len(images)))
    guides = torch.rand(12, 3, 5, 5, generator=generator)
    watched = watched_by_brightness(model, images, guides) if entry.is_aware else None
    return craft(entry, model, images, goal, small_config(entry), draws, traced=True, watched=watched)


@pytest.mark.parametrize("entry", list(ATTACKS), ids=lambda entry: entry.name)
def test_every_attack_stays_in_bounds_and_repeats_itself(entry: AttackEntry) -> None:
    images = torch.rand(4, 3, 5, 5, generator=Generator().manual_seed(1)).round(decimals=1)  # some pixels are 0 or 1
    before = images.clone()
    crafted = _attack(entry, images)
    assert torch.equal(images, before)  # the clean images are left alone
    assert crafted.images.shape == images.shape
    assert crafted.images.dtype == torch.float32
    assert float(crafted.images.min()) >= 0
    assert float(crafted.images.max()) <= 1
    assert not torch.equal(crafted.images, images)
    if "epsilon" in options_of(entry) and "max_l2" not in options_of(entry):
        assert float(crafted.linf.max()) <= SMALL["epsilon"] + 1e-6
    for name in ("success", "margin", "l2", "linf", "vanished"):
        assert getattr(crafted, name).shape == (4,)
    assert crafted.trace is not None
    looks = int((~crafted.trace.margin.isnan()).sum())
    assert (looks > 0) is (crafted.passes > 0)
    assert looks <= crafted.passes
    assert torch.equal(_attack(entry, images).images, crafted.images)


@pytest.mark.parametrize("entry", CLASSIFIERS, ids=lambda entry: entry.name)
def test_every_classifier_trains_and_ends_in_eval_mode(entry: ClassifierEntry, digits: Split) -> None:
    assert "epochs" in entry.options
    config = entry.configure(BuildRequest(family="digits", recipe="quick", options={"epochs": 1}))
    if config.adversarial is not None:
        config = dataclasses.replace(config, adversarial=PgdConfig(epsilon=0.1, step_size=0.1, steps=1))
    network, untrained = (entry.build("digits", 10, config, 0) for _ in range(2))
    journal = MemoryJournal()
    history = entry.train(network, digits.take(torch.arange(60)), config, 0, journal)
    assert len(history) == 1
    assert journal.summaries == history
    assert all(torch.isfinite(torch.tensor(value)) for value in history[0].losses.values())
    assert not any(module.training for module in network.modules())
    with torch.inference_mode():
        logits = network(digits.images(slice(5)))
    assert logits.shape == (5, 10)
    assert bool(torch.isfinite(logits).all())
    pairs = zip(network.parameters(), untrained.parameters(), strict=True)
    assert all(not torch.equal(trained, start) for trained, start in pairs)


@pytest.mark.parametrize("entry", CLASSIFIERS, ids=lambda entry: entry.name)
def test_every_training_that_was_stopped_goes_on_as_if_nothing_had_happened(
    entry: ClassifierEntry, digits: Split
) -> None:
    config = entry.configure(BuildRequest(family="digits", recipe="quick", options={"epochs": 2}))
    if config.adversarial is not None:
        config = dataclasses.replace(config, adversarial=PgdConfig(epsilon=0.1, step_size=0.1, steps=1))
    undisturbed, stopped, resumed = (entry.build("digits", 10, config, 0) for _ in range(3))
    data, journal = digits.take(torch.arange(60)), MemoryJournal(stop_after=1)
    torch.manual_seed(0)
    history = entry.train(undisturbed, data, config, 0, MemoryJournal())
    torch.manual_seed(0)
    with pytest.raises(StoppedError):
        entry.train(stopped, data, config, 0, journal)
    assert entry.train(resumed, data, config, 0, journal) == history
    assert journal.taken == 1
    for one, other in zip(undisturbed.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("entry", DETECTORS, ids=lambda entry: entry.name)
def test_every_detector_fits_scores_and_is_restored(entry: DetectorEntry, digits: Split) -> None:
    classifier: Classifier = (
        build_baseline("digits", classes=10, seed=0)
        if entry.embedding is None
        else build_er_network("digits", classes=10, embedding_dim=4, seed=0)
    )
    classifier.eval()
    config = entry.config()
    detector = entry.fit(classifier, digits, config, 0)
    images, labels = digits.images(slice(20)), digits.labels[:20]
    scores = detector.scores(classifier, images, labels)
    assert scores.shape == (20, len(detector.score_names))
    assert bool(torch.isfinite(scores).all())
    restored = entry.restore(detector.tensors(), config)
    assert torch.equal(restored.scores(classifier, images, labels), scores)
