"""The worst version of each image: the largest margin wins, row by row. Expected values are written out by hand."""

import torch
from torch import Tensor

from attacks.worst import Worst


def _images(*values: float) -> Tensor:
    """Images of one pixel each."""
    return torch.tensor(values).view(-1, 1, 1, 1)


def test_before_anything_is_kept_there_are_copies_of_the_clean_images() -> None:
    clean = _images(0.1, 0.2)
    worst = Worst.of(clean)
    assert torch.equal(worst.images, clean)
    assert worst.margin.tolist() == [-torch.inf, -torch.inf]
    worst.keep(torch.tensor([0]), _images(0.9), torch.tensor([-5.0]))  # a bad margin beats none
    assert worst.images.flatten().tolist() == _images(0.9, 0.2).flatten().tolist()
    assert torch.equal(clean, _images(0.1, 0.2))


def test_only_larger_margins_are_kept_each_in_its_own_row() -> None:
    worst = Worst.of(_images(0.0, 0.0, 0.0, 0.0))
    worst.keep(torch.arange(4), _images(0.1, 0.2, 0.3, 0.4), torch.tensor([1.0, -1.0, 0.0, 2.0]))
    # rows out of order and in part: row 3 falls, row 1 rises, row 2 stays level, row 0 was not looked at
    worst.keep(torch.tensor([3, 1, 2]), _images(0.5, 0.6, 0.7), torch.tensor([1.5, -0.5, 0.0]))
    assert torch.equal(worst.images, _images(0.1, 0.6, 0.3, 0.4))
    assert worst.margin.tolist() == [1.0, -0.5, 0.0, 2.0]


def test_what_was_kept_does_not_follow_later_changes() -> None:
    worst, current = Worst.of(_images(0.0)), _images(0.5)
    worst.keep(torch.tensor([0]), current, torch.tensor([1.0]))
    current.zero_()
    assert worst.images.item() == 0.5
