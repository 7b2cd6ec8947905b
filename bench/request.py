"""From what a user asked for to a complete run spec, refusing what does not fit.

Configuration order: the registered defaults, then what was asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from attacks.backends.registry import BACKENDS, check_backend
from attacks.checks import require_positive
from attacks.contract import AttackEntry
from attacks.errors import RequestError
from attacks.precision import PRECISIONS
from attacks.registration import unknown_name
from attacks.registry import ATTACKS
from bench.datasets.contract import Dataset
from bench.spec import COUNTED, PROTOCOLS, ClassifierSpec, DetectorSpec, RunSpec
from bench.threats import attack_config
from bench.user_models.user_model import UserModel
from defenses.contract import BuildRequest, ClassifierEntry, DetectorEntry
from defenses.detectors.decision import CLASS_WEIGHTS, FOLDS
from defenses.networks.registry import FAMILIES
from defenses.registry import DEFENSES
from defenses.training.recipes import RECIPES

TARGETS = ("none", "random", "least-likely")
CHOICES = {
    "protocol": PROTOCOLS,
    "recipe": RECIPES,
    "counted": COUNTED,
    "precision": PRECISIONS,
    "class_weight": CLASS_WEIGHTS,
}
DETECTORS_ONLY = ("train_attack", "n_fit", "counted", "noise_l2", "class_weight")
LARGEST_SEED = 2**32  # what scikit-learn takes
DEFAULT_SET_SIZE = 100  # images of set I and of set II, as in the paper's tables
PAPER_TARGETS = {"digits": 3, "mnist": 3, "cifar10": 6}  # the classes behind the floors of Tables 3 to 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One cell as asked for; None and absent options mean the default.

    options: of attack, classifier and detector, by name with underscores. The other fields are `RunSpec`'s.
    """

    dataset: str = "digits"
    defense: str
    model: str | None = None
    weights: str | None = None
    attack: str
    backend: str = "native"
    precision: str = "float32"
    train_attack: str | None = None
    target: str | None = None
    protocol: str = "sound"
    recipe: str = "quick"
    n_train: int | None = None
    n_fit: int | None = None
    n_test: int | None = None
    counted: str | None = None
    noise_l2: float | None = None
    class_weight: str | None = None
    seed: int = 0
    image_size: int | None = None
    channels: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def check_request(request: Request) -> None:
    """Raise `RequestError` for everything that can be told without the data."""
    defense, attack = DEFENSES.get(request.defense), ATTACKS.get(request.attack)
    for name, known in CHOICES.items():
        value = getattr(request, name)
        if value is not None and value not in known:
            raise RequestError(unknown_name(name.replace("_", " "), value, list(known)))
    if request.train_attack is not None:
        ATTACKS.get(request.train_attack)
    check_backend(BACKENDS.get(request.backend), attack, request.options)
    _check_aware(request, defense, attack)
    _check_numbers(request)
    if request.target is not None and request.target not in TARGETS and not request.target.isdecimal():
        raise RequestError(unknown_name("target", request.target, [*TARGETS, "CLASS (a number)"]))
    if isinstance(defense, ClassifierEntry):
        for name in DETECTORS_ONLY:
            if getattr(request, name) is not None:
                raise RequestError(f"--{name.replace('_', '-')} is for detectors; '{defense.name}' is a classifier")
    taken = options_taken(defense, attack.config)
    for name in request.options:
        if name not in taken:
            raise RequestError(not_taken(name, f"{request.defense} with {request.attack}", taken))


def _check_aware(request: Request, defense: ClassifierEntry | DetectorEntry, attack: AttackEntry) -> None:
    """Attacks that know the detector need one, and need it fitted."""
    if request.train_attack is not None and ATTACKS.get(request.train_attack).is_aware:
        raise RequestError(
            f"--train-attack {request.train_attack} deceives a fitted detector, and set I is what it is fitted on; "
            "take an attack on the classifier alone, --train-attack cw for instance"
        )
    if not attack.is_aware:
        return
    if isinstance(defense, ClassifierEntry):
        raise RequestError(
            f"{attack.name} deceives a detector, and '{defense.name}' is a bare classifier; take --attack auto"
        )
    if request.precision != "float32":
        raise RequestError(f"{attack.name} works in float32 alone, as the detector's score; leave --precision out")


def _check_numbers(request: Request) -> None:
    for name in ("n_train", "n_fit", "n_test", "image_size"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise RequestError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if request.options.get("epochs", 1) < 1:
        raise RequestError(f"--epochs must be at least 1, got {request.options['epochs']}")
    if request.n_fit is not None and request.n_fit < FOLDS:
        raise RequestError(
            f"--n-fit must be at least {FOLDS}, one a fold of the logistic regression, got {request.n_fit}"
        )
    if request.noise_l2 is not None:
        require_positive("noise_l2", request.noise_l2)
    if not 0 <= request.seed < LARGEST_SEED:
        raise RequestError(f"--seed must lie between 0 and {LARGEST_SEED - 1}, got {request.seed}")


def options_taken(defense: ClassifierEntry | DetectorEntry, attack_config_type: type) -> set[str]:
    """Names of all options that a defense and an attack take together."""
    taken = config_names(attack_config_type) | defense.options
    if isinstance(defense, DetectorEntry):
        classifier = DEFENSES.get(defense.classifier)
        taken |= classifier.options
        if defense.adversarial_classifier is not None:
            taken.add("adversarial_training")
    return taken


def config_names(config_type: type) -> set[str]:
    """Names of the options of an attack's config."""
    return {field.name for field in fields(config_type)}


def not_taken(name: str, by: str, taken: set[str]) -> str:
    """The sentence that refuses an option."""
    known = ", ".join(f"--{option.replace('_', '-')}" for option in sorted(taken))
    return f"--{name.replace('_', '-')} is not an option of {by}; these are: {known}"


def resolve(request: Request, dataset: Dataset, user_model: UserModel | None = None) -> RunSpec:
    """Fill in every default and check every range against the data.

    Args:
        request: one cell.
        dataset: loaded, since a folder's images say which networks fit them.
        user_model: what `--model` gave, for the defense "model".

    Raises:
        RequestError: something asked for does not fit.
    """
    check_request(request)
    defense, attack = DEFENSES.get(request.defense), ATTACKS.get(request.attack)
    n_test = request.n_test or min(DEFAULT_SET_SIZE, len(dataset.test))
    detector = None
    n_fit = 0
    if isinstance(defense, DetectorEntry):
        n_fit = request.n_fit or DEFAULT_SET_SIZE
        train_attack = ATTACKS.get(request.train_attack or "fgsm")
        detector = DetectorSpec(
            name=defense.name,
            config=defense.config(**_part(request.options, defense.options)),
            train_attack=train_attack.name,
            train_attack_config=attack_config(train_attack, dataset.family, {"until": "end"}),
            n_fit=n_fit,
            counted=request.counted or _counted(request),
            noise_l2=request.noise_l2,
            class_weight=request.class_weight or "none",
        )
    _check_sizes(request.n_train, n_fit, n_test, dataset)
    return RunSpec(
        dataset=request.dataset,
        image_size=request.image_size,
        channels=request.channels,
        defense=f"{user_model.file}:{user_model.factory}" if user_model else request.defense,
        recipe="none" if user_model else request.recipe,
        classifier=(user_model.spec(dataset.family) if user_model else _classifier_spec(request, defense, dataset)),
        detector=detector,
        attack=attack.name,
        attack_config=attack_config(attack, dataset.family, _attack_options(request, attack, detector)),
        backend=request.backend,
        precision=request.precision,
        target=_target(request, dataset),
        protocol=request.protocol,
        n_test=n_test,
        seed=request.seed,
    )


def _classifier_spec(request: Request, defense: ClassifierEntry | DetectorEntry, dataset: Dataset) -> ClassifierSpec:
    name, given = defense.name, dict(request.options)
    if isinstance(defense, DetectorEntry):
        name = defense.classifier
        if given.get("adversarial_training") and defense.adversarial_classifier is not None:
            name = defense.adversarial_classifier
        if defense.embedding == "intrinsic":
            given = {"embedding_dim": FAMILIES.get(dataset.family).intrinsic_dim} | given
    entry = DEFENSES.get(name)
    if not isinstance(entry, ClassifierEntry):
        raise RequestError(f"'{name}', which {defense.name} watches, is not a classifier")
    options = _part(given, entry.options)
    config = entry.configure(BuildRequest(family=dataset.family, recipe=request.recipe, options=options))
    return ClassifierSpec(
        name=name,
        family=dataset.family,
        config=config,
        n_train=request.n_train or len(dataset.train),
        seed=request.seed,
    )


def _attack_options(request: Request, attack: AttackEntry, detector: DetectorSpec | None) -> dict[str, Any]:
    """What was asked for; a bare classifier's accuracy needs no step beyond the one that breaks an image.

    A detector is to meet the attack's worst, and other libraries take every step anyway.
    """
    names = config_names(attack.config)
    options = _part(request.options, names)
    if "until" in names:
        stops_early = detector is None and request.backend == "native"
        options = {"until": "success" if stops_early else "end"} | options
    return options


def _counted(request: Request) -> str:
    """A high-confidence test set holds only what reached the confidence; the paper's protocol leaves none out."""
    is_high_confidence = request.options.get("confidence", 0) > 0
    return "reached" if is_high_confidence and request.protocol == "sound" else "all"


def _part(options: Mapping[str, Any], names: set[str] | frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


def _check_sizes(n_train: int | None, n_fit: int, n_test: int, dataset: Dataset) -> None:
    if n_train is not None and n_train > len(dataset.train):
        raise RequestError(
            f"--n-train {n_train} is more than the {len(dataset.train)} training images of {dataset.name}"
        )
    if n_fit + n_test > len(dataset.test):
        sets = f"--n-fit {n_fit} and --n-test {n_test} together are" if n_fit else f"--n-test {n_test} is"
        raise RequestError(f"{sets} more than the {len(dataset.test)} test images of {dataset.name}")


def _target(request: Request, dataset: Dataset) -> str:
    if request.target is None and request.protocol == "paper":
        if dataset.family not in PAPER_TARGETS:
            raise RequestError(f"--protocol paper needs --target CLASS on {dataset.name}: the paper names none")
        return str(PAPER_TARGETS[dataset.family])
    target = request.target or "none"
    classes = len(dataset.class_names)
    if target.isdecimal() and int(target) >= classes:
        raise RequestError(
            f"--target {target} is out of range; {dataset.name} has {classes} classes, 0 to {classes - 1}"
        )
    if request.protocol == "paper" and not target.isdecimal():
        raise RequestError("--protocol paper attacks toward one fixed class: give --target a class number")
    return target
