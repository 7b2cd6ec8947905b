"""What a model gives: outputs that no attack can trust, because they are squeezed, random, or of the batch.

Sources: Carlini et al. 2019, arXiv:1902.06705, section 4; Tramèr et al. 2020, arXiv:2002.08347; the checks of
AutoAttack (Croce & Hein 2020, arXiv:2003.01690, and the authors' code).
"""

import torch
from torch import Tensor

from attacks.contract import looks_like_probabilities
from attacks.precision import running_in
from bench.metrics.changes import mcnemar
from bench.sanity.contract import LEVEL, Case, Check, Evidence

FEW = 10  # images; a fault of the wiring shows in any of them
ALONE = 4  # of these, shown one by one
CALLS = 5
CHANGE = 1e-4  # logit units, beyond which two calls differ (AutoAttack's code)
ROUNDING = 1e-5  # of the largest logit: float32 sums in another order
MOST_MISSED = 0.1  # clean accuracy above 90 % leaves no room for another range
MANY = 50  # images tried in another range
MORE_ACCURATE = 0.1  # and significantly so


def _forward(case: Case, images: Tensor) -> Tensor:
    with torch.no_grad(), running_in("float32", images.device):
        logits: Tensor = case.model(images)
        return logits.float()


def _logits(case: Case) -> Tensor:
    """Of the first few clean images, (m, classes)."""
    return case.once("few logits", lambda: _forward(case, case.images[:FEW]))


def _difference(logits: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Largest difference of each row, and whether it is more than rounding: both (m,)."""
    difference = (logits - others).abs().amax(dim=1)
    return difference, difference > CHANGE + ROUNDING * logits.abs().amax(dim=1)


def _named(case: Case, differs: Tensor) -> tuple[int, ...]:
    return tuple(case.sample_ids[: len(differs)][differs.cpu()].tolist())


def _probabilities(case: Case) -> Evidence | None:
    logits = _logits(case)
    if not looks_like_probabilities(logits):
        return None
    return Evidence(
        sentence=f"all outputs for {len(logits)} images are non-negative and sum to 1: probabilities, not logits",
        numbers={"smallest": float(logits.min()), "largest": float(logits.max())},
    )


def _random(case: Case) -> Evidence | None:
    first = _logits(case)
    others = [_forward(case, case.images[:FEW]) for _ in range(CALLS - 1)]
    found = [_difference(first, other) for other in others]
    largest = torch.stack([difference for difference, _ in found]).amax(dim=0)
    differs = torch.stack([differs for _, differs in found]).any(dim=0)
    if not bool(differs.any()):
        return None
    return Evidence(
        sentence=f"over {CALLS} calls the logits of {int(differs.sum())} of {len(first)} images differ by up to "
        f"{float(largest.max()):.3g}",
        images=_named(case, differs),
        numbers={"largest_difference": float(largest.max()), "images": float(differs.sum())},
    )


def _of_the_batch(case: Case) -> Evidence | None:
    together = _logits(case)[:ALONE]
    alone = torch.cat([_forward(case, image[None]) for image in case.images[:ALONE]])
    difference, differs = _difference(together, alone)
    if not bool(differs.any()):
        return None
    return Evidence(
        sentence=f"shown alone, {int(differs.sum())} of {len(alone)} images get other logits than in a batch, by up to "
        f"{float(difference.max()):.3g}",
        images=_named(case, differs),
        numbers={"largest_difference": float(difference.max()), "images": float(differs.sum())},
    )


def _training(case: Case) -> Evidence | None:
    names = [name or type(module).__name__ for name, module in case.model.named_modules() if module.training]
    if not names:
        return None
    return Evidence(
        sentence=f"{len(names)} modules are in train mode, the first is {names[0]}",
        numbers={"modules": float(len(names))},
    )


def _autograd(case: Case) -> Evidence | None:
    """A graph that is walked backwards asks for the tensors saved in it; nothing else does."""
    asked: list[bool] = []

    def unpack(tensor: Tensor) -> Tensor:
        asked.append(True)
        return tensor

    images = case.images[:ALONE].clone()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
        case.model(images)
    if not asked:
        return None
    return Evidence(
        sentence="the model runs autograd inside its forward pass: what it gives depends on gradients of its own",
        numbers={"saved_tensors_asked_for": float(len(asked))},
    )


def _range(case: Case) -> Evidence | None:
    ids = torch.linspace(0, len(case.test) - 1, min(MANY, len(case.test))).long()
    right = case.correct[ids]
    if float((~right).float().mean()) <= MOST_MISSED:
        return None
    images, labels = case.test.images(ids).to(case.images.device), case.test.labels[ids]
    for name, changed in _other_ranges(case, images).items():
        better = _forward(case, changed).argmax(dim=1).cpu() == labels
        won, lost = int((better & ~right).sum()), int((right & ~better).sum())
        if (won - lost) / len(ids) > MORE_ACCURATE and mcnemar(lost, won) < LEVEL:
            return Evidence(
                sentence=f"of {len(ids)} test images the model gets {int(right.sum())} right as they are, in [0, 1], "
                f"and {int(better.sum())} as {name}",
                images=tuple(ids[better & ~right].tolist()),
                numbers={"right": float(right.sum()), "right_in_other_range": float(better.sum()), "n": len(ids)},
            )
    return None


def _other_ranges(case: Case, images: Tensor) -> dict[str, Tensor]:
    known = case.train.images(slice(1000)).to(images.device)
    mean, std = (known.mean(dim=(0, 2, 3), keepdim=True), known.std(dim=(0, 2, 3), keepdim=True).clamp(min=1e-6))
    return {
        "255 x": 255 * images,
        "2 x - 1": 2 * images - 1,
        "(x - mean) / std": (images - mean) / std,
        "x / 255": images / 255,
    }


PROBABILITIES = Check(
    name="probabilities",
    summary="outputs are probabilities or one-hot, whose margins and gradients say little",
    source="Carlini et al. 2019, arXiv:1902.06705, section 4.8; AutoAttack's code",
    advice="Return logits: drop the softmax, and whatever rounds or thresholds the outputs.",
    find=_probabilities,
)
RANDOM = Check(
    name="random-outputs",
    summary=f"outputs change between {CALLS} calls by more than 1e-4",
    source="Athalye et al. 2018, arXiv:1802.00420, section 4 (stochastic gradients); AutoAttack's code",
    advice="Attack the expectation over the randomness (EOT), or fix it, and judge each image over several draws.",
    find=_random,
)
OF_THE_BATCH = Check(
    name="batch-dependent",
    summary="an image's logits depend on the other images of its batch",
    source="Carlini et al. 2019, arXiv:1902.06705, section 4",
    advice="Let batch normalization use its running statistics, and take out whatever else mixes a batch's images.",
    find=_of_the_batch,
)
TRAINING = Check(
    name="train-mode",
    summary="the model, or a layer of it, is in train mode",
    source="Carlini et al. 2019, arXiv:1902.06705, section 4",
    advice="Call model.eval() before the evaluation and override neither train() nor eval().",
    find=_training,
)
AUTOGRAD = Check(
    name="autograd-inside",
    summary="the model calls autograd while it infers: it optimizes or purifies its input",
    source="AutoAttack's code (flag for dynamic defenses); Croce et al. 2022, arXiv:2202.13711",
    advice="Attack through the inner optimization (unrolled or by BPDA), and without gradients (--attack square).",
    find=_autograd,
)
RANGE = Check(
    name="input-range",
    summary="the model is much more accurate on images of another range than [0, 1]",
    source="Carlini et al. 2019, arXiv:1902.06705, section 4; ours (the ranges tried)",
    advice="Put the scaling or normalization that the model was trained with inside the model.",
    find=_range,
    spoils=(*PROBABILITIES.spoils, "clean_accuracy"),
)
CHECKS = (PROBABILITIES, RANDOM, OF_THE_BATCH, TRAINING, AUTOGRAD, RANGE)
