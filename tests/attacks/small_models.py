"""Small models and images that the attack tests share; nothing here is trained."""

import torch
from torch import Generator, Tensor, nn

from attacks.draws import Draws
from attacks.goal import Goal, Logits
from attacks.probe import Probe

SHAPE = (1, 8, 8)
PIXELS = 64


def random_images(count: int, *, low: float = 0.0, high: float = 1.0, seed: int = 0) -> Tensor:
    """(count, 1, 8, 8) float32 uniform in [low, high)."""
    return low + (high - low) * torch.rand(count, *SHAPE, generator=Generator().manual_seed(seed))


def draws_for(count: int, seed: int = 0) -> Draws:
    return Draws(seed=seed, sample_ids=torch.arange(count))


def probe_for(model: Logits, goal: Goal, *, precision: str = "float32", traced: bool = False) -> Probe:
    """The model as `craft` would show it to an attack; images are called 0, 1, 2 and so on."""
    return Probe(model, goal, torch.arange(len(goal.classes)), precision=precision, traced=traced)


def linear_model(classes: int, seed: int = 0) -> nn.Sequential:
    """One linear layer, weights N(0, 0.3^2), centered so that a gray image has logits of zero."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, classes))
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        model[1].weight.normal_(0, 0.3, generator=generator)
        model[1].bias.copy_(-0.5 * model[1].weight.sum(dim=1))
    return model.eval()


def small_network(seed: int = 0) -> nn.Sequential:
    """Two linear layers with a tanh between, five classes; its logits are bounded by the last layer's weights."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 32), nn.Tanh(), nn.Linear(32, 5))
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
        model[1].bias.copy_(-0.5 * model[1].weight.sum(dim=1))
    return model.eval()


class Recorder:
    """A model that keeps the images it was shown."""

    def __init__(self, model: Logits) -> None:
        self._model = model
        self.seen: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach().clone())
        return self._model(images)
