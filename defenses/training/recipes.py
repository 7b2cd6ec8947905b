"""Training settings by dataset family: the paper's, and quick ones for two CPU cores.

Sources: [S] supplement Table 1 (adversarial training); [A] the author's training code (learning rates, lambda_1,
batch sizes, epochs); [D] our decision where both are silent: all of `quick`, the networks without an embedding,
everything of Tiny ImageNet but its epsilon and iterations, and `digits`.
"""

from dataclasses import dataclass, replace

from attacks.errors import RequestError
from attacks.pgd import PgdConfig
from attacks.registration import unknown_name

RECIPES = ("quick", "paper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the defenses of one family take their training settings from.

    epochs, adversarial_epochs: without and with min-max training.
    batch_size: images a step.
    learning_rate: of ER networks (eta of the encoder).
    baseline_epochs, baseline_learning_rate: of the baseline network.
    regularizer_weight: lambda_1.
    separate_steps, head_rate: the author's order of updates and the head's learning rate; see `EmbeddingConfig`.
    schedule: of the learning rates; the author's schedulers never stepped, so his were constant.
    adversary: the attack of min-max training.
    """

    epochs: int
    adversarial_epochs: int
    batch_size: int
    learning_rate: float
    baseline_epochs: int
    baseline_learning_rate: float
    regularizer_weight: float
    separate_steps: bool
    head_rate: float
    schedule: str
    adversary: PgdConfig

    def adversary_at(self, epsilon: float | None) -> PgdConfig:
        """The attack of min-max training in another ball, its step scaled alike; `RequestError` outside (0, 1]."""
        if epsilon is None:
            return self.adversary
        step_size = self.adversary.step_size * epsilon / self.adversary.epsilon
        return replace(self.adversary, epsilon=epsilon, step_size=step_size)


def _paper(
    *, epochs: int, batch_size: int, learning_rate: float, regularizer_weight: float, adversary: PgdConfig
) -> Recipe:
    """The author's way of training, with a dataset's own figures."""
    return Recipe(
        epochs=epochs,
        adversarial_epochs=20,
        batch_size=batch_size,
        learning_rate=learning_rate,
        baseline_epochs=epochs,
        baseline_learning_rate=1e-3,
        regularizer_weight=regularizer_weight,
        separate_steps=True,
        head_rate=1 / 20,
        schedule="constant",
        adversary=adversary,
    )


def _quick(paper: Recipe, *, epochs: int, learning_rate: float, step_size: float) -> Recipe:
    """The same networks and losses in fewer epochs and larger steps; seven of them for an adversarial example."""
    return replace(
        paper,
        epochs=epochs,
        adversarial_epochs=epochs,
        baseline_epochs=epochs,
        learning_rate=learning_rate,
        regularizer_weight=0.1,
        separate_steps=False,
        head_rate=1.0,
        schedule="cosine",
        adversary=replace(paper.adversary, steps=7, step_size=step_size),
    )


_MNIST_ADVERSARY = PgdConfig(epsilon=0.3, step_size=0.01, steps=40)
_PAPER = {
    "mnist": _paper(epochs=60, batch_size=100, learning_rate=1e-4, regularizer_weight=5e-4, adversary=_MNIST_ADVERSARY),
    "cifar10": _paper(
        epochs=30,
        batch_size=100,
        learning_rate=5e-5,
        regularizer_weight=0.1,
        adversary=PgdConfig(epsilon=0.03, step_size=0.01, steps=20),
    ),
    "stl10": _paper(
        epochs=30,
        batch_size=64,
        learning_rate=5e-5,
        regularizer_weight=0.1,
        adversary=PgdConfig(epsilon=0.03, step_size=0.0078, steps=20),
    ),
    "tiny-imagenet": _paper(
        epochs=30,
        batch_size=100,
        learning_rate=5e-5,
        regularizer_weight=0.1,
        adversary=PgdConfig(epsilon=0.01, step_size=0.0025, steps=10),
    ),
    "digits": replace(  # as MNIST, in more epochs of its fewer images
        _paper(epochs=200, batch_size=100, learning_rate=1e-4, regularizer_weight=5e-4, adversary=_MNIST_ADVERSARY),
        adversarial_epochs=100,
        baseline_epochs=100,
    ),
}
_QUICK = {
    "mnist": replace(
        _quick(_PAPER["mnist"], epochs=3, learning_rate=5e-4, step_size=0.075),
        epochs=2,  # its networks cost five times the baseline
    ),
    "cifar10": _quick(_PAPER["cifar10"], epochs=5, learning_rate=5e-4, step_size=0.01),
    "stl10": _quick(_PAPER["stl10"], epochs=5, learning_rate=5e-4, step_size=0.0078),
    "tiny-imagenet": _quick(_PAPER["tiny-imagenet"], epochs=5, learning_rate=5e-4, step_size=0.0025),
    "digits": replace(_quick(_PAPER["digits"], epochs=30, learning_rate=2e-3, step_size=0.075), baseline_epochs=40),
}


def recipe_for(name: str, family: str) -> Recipe:
    """The settings called `name` for a network family; `RequestError` for an unknown name."""
    tables = {"quick": _QUICK, "paper": _PAPER}
    if name not in tables:
        raise RequestError(unknown_name("recipe", name, list(RECIPES)))
    if family not in tables[name]:
        raise RequestError(f"the recipe '{name}' has no settings for the networks of '{family}'")
    return tables[name][family]
