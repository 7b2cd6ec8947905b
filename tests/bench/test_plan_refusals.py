"""Every refusal that needs no training: bounds are the digits' own: 1,297 and 500 images of 10 classes."""

from pathlib import Path
from typing import Any

import pytest
from small_runs import planned

from attacks.errors import DataError, RequestError

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"defense": "er3"}, r"unknown defense 'er3'; did you mean 'er[12]'\? known: standard, "),
    ({"attack": "pdg"}, r"unknown attack 'pdg'; did you mean 'pgd'\? known: fgsm, pgd, cw"),
    ({"dataset": "digit"}, r"unknown dataset 'digit'; did you mean 'digits'\?"),
    ({"train_attack": "fgms"}, r"unknown attack 'fgms'; did you mean 'fgsm'\?"),
    ({"recipe": "fast"}, r"unknown recipe 'fast'; .*known: quick, paper"),
    ({"protocol": "papers"}, r"unknown protocol 'papers'; did you mean 'paper'\?"),
    ({"prior": "gausian"}, r"unknown prior 'gausian'; did you mean 'gaussian'\?"),
    ({"regularizer": "KL"}, r"unknown regularizer 'KL'; did you mean 'kl'\?"),
    ({"class_weight": "balance"}, r"unknown class weight 'balance'; did you mean 'balanced'\?"),
    ({"density": "lin"}, r"unknown density 'lin'; .*known: log, linear"),
    ({"train_learning_rate": 0.0}, r"train-learning-rate must be a number above 0, got 0\.0"),
    ({"defense": "standard", "train_learning_rate": float("nan")}, r"train-learning-rate must be .* got nan"),
    ({"head_rate": -1.0}, r"head-rate must be a number above 0, got -1\.0"),
    ({"defense": "madry", "train_epsilon": 1.5}, r"epsilon must lie in \(0, 1\], got 1\.5"),
    ({"defense": "er-classifier-at", "train_epsilon": 0.0}, r"epsilon must lie in \(0, 1\], got 0\.0"),
    ({"counted": "reach"}, r"unknown counted 'reach'; did you mean 'reached'\?"),
    ({"confidence": -1.0}, r"confidence must be a number of at least 0, got -1\.0"),
    ({"confidence": float("nan")}, r"confidence must be .* got nan"),
    ({"confidence": float("inf")}, r"confidence must be .* got inf"),
    ({"attack": "fgsm", "epsilon": 0.0}, r"epsilon must lie in \(0, 1\], got 0\.0"),
    ({"attack": "pgd", "epsilon": -0.1}, r"epsilon must lie in \(0, 1\]"),
    ({"attack": "pgd", "epsilon": 1.5}, r"epsilon must lie in \(0, 1\], got 1\.5"),
    ({"attack": "pgd", "epsilon": float("nan")}, r"epsilon must lie in \(0, 1\], got nan"),
    ({"attack": "pgd", "steps": 0}, r"steps must be a number above 0"),
    ({"max_l2": 0.0}, r"max-l2 must be a number above 0"),
    ({"noise_l2": -1.0}, r"noise-l2 must be a number above 0"),
    ({"bandwidth": 0.0}, r"bandwidth must be a number above 0"),
    ({"embedding_dim": 0}, r"embedding.dim must be a number above 0"),
    ({"regularizer_weight": -1.0}, r"regularizer.weight must be a number of at least 0"),
    ({"regularizer": "kl", "prior": "uniform"}, r"--regularizer kl .* --prior gaussian only, not for 'uniform'"),
    ({"target": "10"}, r"--target 10 is out of range; digits has 10 classes, 0 to 9"),
    ({"target": "-1"}, r"unknown target '-1'"),
    ({"target": "²"}, r"unknown target '²'"),
    ({"target": "randm"}, r"unknown target 'randm'; did you mean 'random'\?"),
    ({"protocol": "paper", "target": "random"}, r"--protocol paper attacks toward one fixed class"),
    ({"n_test": 0}, r"--n-test must be at least 1, got 0"),
    ({"n_fit": 4}, r"--n-fit must be at least 5, one a fold of .*, got 4"),
    ({"n_train": -5}, r"--n-train must be at least 1"),
    ({"epochs": 0}, r"--epochs must be at least 1, got 0"),
    ({"seed": -1}, r"--seed must lie between 0 and 4294967295, got -1"),
    ({"seed": 10**23}, r"--seed must lie between 0 and 4294967295"),
    ({"n_train": 1298}, r"--n-train 1298 is more than the 1297 training images of digits"),
    ({"n_test": 401}, r"--n-fit 100 and --n-test 401 together are more than the 500 test images of digits"),
    ({"defense": "standard", "n_test": 501}, r"--n-test 501 is more than the 500 test images of digits"),
    ({"defense": "lid", "n_train": 99}, r"lid needs 100 .*, the training set has 99.*--n-train"),
    ({"defense": "kd", "n_train": 10}, r"class \d has \d training images; .* at least 5.*--n-train"),
    ({"defense": "lid", "neighbors": 100}, r"minibatch must exceed neighbors"),
    ({"channels": 3}, r"--image-size and --channels convert folder:PATH only, not 'digits'"),
    ({"image_size": 28}, r"--image-size and --channels convert folder:PATH only, not 'digits'"),
    ({"defense": "standard", "class_weight": "balanced"}, r"--class-weight is for detectors; standard with cw"),
    ({"defense": "standard", "train_attack": "pgd"}, r"--train-attack is for detectors; standard with cw"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[str(values) for values, _ in REFUSED])
def test_what_does_not_fit_is_refused_before_anything_is_made(
    tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message) as error:
        planned(tmp_path, **values)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_missing_data_name_the_option_that_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mnist.* --download .*MB"):
        planned(tmp_path, dataset="mnist")
    assert not list(tmp_path.iterdir())
