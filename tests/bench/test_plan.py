"""What a request becomes; budgets and sizes are those of the supplement's Tables 1 and 2.

The digits follow MNIST: budget 0.3 in 40 steps of 0.01, target class 3, final embedding of 4 axes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_runs import planned

from attacks.cw import CwConfig
from attacks.errors import RequestError
from attacks.fgsm import FgsmConfig
from attacks.pgd import PgdConfig
from defenses.networks.registry import FAMILIES


def test_defaults(tmp_path: Path) -> None:
    spec = planned(tmp_path)
    assert (spec.dataset, spec.recipe, spec.protocol, spec.target, spec.seed) == ("digits", "quick", "sound", "none", 0)
    assert spec.detector is not None
    assert (spec.detector.n_fit, spec.n_test, spec.classifier.n_train) == (100, 100, 1297)
    assert (spec.detector.train_attack, spec.detector.train_attack_config) == ("fgsm", FgsmConfig(epsilon=0.3))
    assert spec.classifier.name == "er-classifier"
    assert spec.attack_config == CwConfig()


def test_options_reach_their_place(tmp_path: Path) -> None:
    spec = planned(
        tmp_path,
        confidence=9.0,
        max_l2=3.0,
        prior="cauchy",
        embedding_dim=7,
        bandwidth=0.5,
        epochs=3,
        n_train=500,
        seed=5,
    )
    assert (spec.attack_config.confidence, spec.attack_config.max_l2) == (9, 3)
    config = spec.classifier.config
    assert (config.prior, config.embedding_dim, config.epochs) == ("cauchy", 7, 3)
    assert spec.detector is not None
    assert spec.detector.config.bandwidth == 0.5
    assert (spec.classifier.n_train, spec.classifier.seed, spec.seed) == (500, 5, 5)


def test_training_options_reach_the_classifier(tmp_path: Path) -> None:
    config = planned(tmp_path, head_rate=0.5, train_learning_rate=0.002).classifier.config
    assert (config.head_rate, config.learning_rate) == (0.5, 0.002)
    # the attack's own learning rate is another option
    spec = planned(tmp_path, defense="madry", learning_rate=0.05, train_learning_rate=0.003, train_epsilon=0.15)
    assert (spec.attack_config.learning_rate, spec.classifier.config.learning_rate) == (0.05, 0.003)
    assert spec.classifier.config.adversarial.epsilon == 0.15
    assert planned(tmp_path, defense="madry", attack="fgsm", train_epsilon=0.15).attack_config.epsilon == 0.3


def test_density_and_class_weight_reach_the_detector(tmp_path: Path) -> None:
    default, chosen = planned(tmp_path).detector, planned(tmp_path, density="linear", class_weight="balanced").detector
    assert default is not None
    assert chosen is not None
    assert (default.config.density, default.class_weight) == ("log", "none")
    assert (chosen.config.density, chosen.class_weight) == ("linear", "balanced")


@pytest.mark.parametrize(
    "values", [{"density": "linear"}, {"class_weight": "balanced"}, {"head_rate": 0.5}, {"train_learning_rate": 0.003}]
)
def test_another_choice_is_another_run(tmp_path: Path, values: dict[str, Any]) -> None:
    assert planned(tmp_path, **values).run_id("digest") != planned(tmp_path).run_id("digest")


def test_budgets_are_the_papers_unless_given(tmp_path: Path) -> None:
    spec = planned(tmp_path, attack="pgd", train_attack="pgd")
    assert spec.attack_config == PgdConfig(epsilon=0.3, step_size=0.01, steps=40)
    assert planned(tmp_path, attack="pgd", epsilon=0.1).attack_config == PgdConfig(
        epsilon=0.1, step_size=0.01, steps=40
    )
    # a test option is not set I's: the detector does not know what it will meet
    spec = planned(tmp_path, attack="fgsm", train_attack="fgsm", epsilon=0.1)
    assert spec.detector is not None
    assert spec.detector.train_attack_config == FgsmConfig(epsilon=0.3)


@pytest.mark.parametrize(
    ("defense", "more", "watched"),
    [
        ("er1", {}, "er-classifier"),
        ("er1-minus", {}, "e-cla"),
        ("kd", {}, "standard"),
        ("lid", {"adversarial_training": True}, "madry"),
        ("er2", {"adversarial_training": True}, "er-classifier-at"),
    ],
)
def test_which_classifier_a_detector_watches(tmp_path: Path, defense: str, more: dict[str, Any], watched: str) -> None:
    spec = planned(tmp_path, defense=defense, **more)
    assert spec.classifier.name == watched
    assert (getattr(spec.classifier.config, "adversarial", None) is not None) == bool(more)


def test_the_two_embedding_sizes(tmp_path: Path) -> None:
    intrinsic = FAMILIES.get("digits").intrinsic_dim
    assert intrinsic != 4
    sizes = {
        name: planned(tmp_path, defense=name).classifier.config.embedding_dim for name in ("er1", "er2", "er2-minus")
    }
    assert sizes == {"er1": 4, "er2": intrinsic, "er2-minus": intrinsic}
    assert planned(tmp_path, defense="er2", embedding_dim=6).classifier.config.embedding_dim == 6


def test_what_counts_in_set_two(tmp_path: Path) -> None:
    def counted(**values: Any) -> str:
        detector = planned(tmp_path, **values).detector
        assert detector is not None
        return detector.counted

    assert counted() == "all"
    assert counted(confidence=9.0) == "reached"
    assert counted(confidence=9.0, protocol="paper") == "all"
    assert counted(confidence=9.0, counted="all") == "all"


def test_the_papers_protocol_has_a_fixed_target(tmp_path: Path) -> None:
    assert planned(tmp_path, protocol="paper").target == "3"
    assert planned(tmp_path, protocol="paper", target="8").target == "8"


def test_a_folder_follows_the_networks_of_its_image_size(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            for number in range(3):
                path = tmp_path / "images" / part / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    name = f"folder:{tmp_path / 'images'}"
    spec = planned(tmp_path, dataset=name, defense="standard", attack="fgsm")
    assert (spec.dataset, spec.classifier.family, spec.n_test) == (name, "mnist", 6)
    with pytest.raises(RequestError, match=r"--target 2 is out of range; .* has 2 classes, 0 to 1"):
        planned(tmp_path, dataset=name, defense="standard", target="2")
    with pytest.raises(RequestError, match="class 0 has 3 training images"):
        planned(tmp_path, dataset=name, defense="kd", n_fit=5, n_test=1)
