"""Theorem 1 and bound (6) with a trained classifier: draws from data and prior, and the cases evaluated on them.

Source: supplement A. f(X) is the true label of a test image, Z a draw from the prior, C(Z) the classifier's softmax.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from bench.datasets.contract import Split
from bench.metrics.two_sample import squared_mmd
from bench.paper.studies.theorem_sides import (
    Sides,
    drawn_label_sides,
    encoder_sides,
    identity_sides,
    signed_noise_sides,
)
from defenses.contract import Classifier, device_of
from defenses.detectors.kernel_density import represent_all
from defenses.priors import sample_prior

SIGMAS = (0.05, 0.1, 0.3)
IDENTITY = "Theorem 1"
NOISES = {sigma: f"(6), noise ± {sigma:g}" for sigma in SIGMAS}
DRAWN = "(6), drawn label"
ENCODER = "Trained encoder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What the cases are evaluated on.

    labels: (n,) int64, of n test images; codes: (n, d) float64, their embeddings; drawn: (n, d), from the prior.
    outputs, encoded_outputs: (n, classes) float64, class probabilities of `drawn` and of `codes`.
    signs: (n, classes) float64, each -1 or 1.
    """

    labels: Tensor
    codes: Tensor
    drawn: Tensor
    outputs: Tensor
    encoded_outputs: Tensor
    signs: Tensor


def draw(network: Classifier, images: Split, prior: str, n: int, seed: int) -> Draws:
    """Draw n of `images`, n codes from the prior and the signs of the noise; all on the CPU.

    Args:
        network: an ER network in eval mode.
        images: at least n.
        prior: one of `defenses.priors.PRIORS`.
        n: images, and codes.
        seed: of all three.
    """
    generator = Generator().manual_seed(seed)
    chosen = images.take(torch.randperm(len(images), generator=generator)[:n])
    codes = represent_all(Classifier.embedding, network, chosen.images().to(device_of(network))).cpu()
    drawn = sample_prior(prior, (n, codes.shape[1]), generator).double()
    outputs = _probabilities(network, drawn)
    return Draws(
        labels=chosen.labels,
        codes=codes,
        drawn=drawn,
        outputs=outputs,
        encoded_outputs=_probabilities(network, codes),
        signs=2.0 * torch.randint(2, outputs.shape, generator=generator).double() - 1.0,
    )


def evaluate(draws: Draws) -> list[dict[str, Any]]:
    """Every case as a plain dict: `case`, `left`, `middle`, `right`, `slack` and, for the encoder, `squared_mmd`."""
    labels, outputs, signs = draws.labels.numpy(), draws.outputs.numpy(), draws.signs.numpy()
    identity = identity_sides(labels, outputs)
    distance = squared_mmd(draws.codes, draws.drawn)
    return [
        _case(IDENTITY, identity),
        *(
            _case(name, signed_noise_sides(labels, outputs, signs, sigma, identity.right))
            for sigma, name in NOISES.items()
        ),
        _case(DRAWN, drawn_label_sides(labels, outputs, identity.right)),
        _case(ENCODER, encoder_sides(labels, draws.encoded_outputs.numpy())) | {"squared_mmd": distance},
    ]


def _probabilities(network: Classifier, codes: Tensor) -> Tensor:
    with torch.inference_mode():
        logits = network.head(codes.to(device_of(network), torch.float32))
    return torch.softmax(logits.cpu().double(), dim=1)


def _case(name: str, sides: Sides) -> dict[str, Any]:
    return {"case": name, **asdict(sides), "slack": sides.slack, "squared_mmd": None}
