"""The sentence above a table: everything that its numbers follow from, but the method. Reads specs as plain JSON."""

from typing import Any

PLAIN = {"backend": "native", "precision": "float32"}  # told only where they are otherwise


def caption(spec: dict[str, Any]) -> str:
    """What a reader must know of the numbers, in one sentence; all of the spec but the method."""
    detector = spec["detector"]
    trained = f"trained on {detector['train_attack']}, " if detector else ""
    counted = f", counted: {detector['counted']}" if detector else ""
    tested = f"{trained}tested on {attack_name(spec)}{budget(spec)}; "
    return f"{_dataset_name(spec)}: {tested}{_sets(spec, counted)}; percent with Wilson 95 % interval"


def caption_of_attacks(spec: dict[str, Any]) -> str:
    """The same of a detector under several attacks, whose names and budgets stand elsewhere."""
    trained = f"trained on {spec['detector']['train_attack']}; "
    return (
        f"{_dataset_name(spec)}: {trained}{_sets(spec, '')}; percent with Wilson 95 % interval, AUROC with Newcombe's"
    )


def _sets(spec: dict[str, Any], counted: str) -> str:
    """Protocol, training, sets and seed."""
    detector = spec["detector"]
    if detector and detector["noise_l2"] is not None:
        counted += f", noise of L2 {detector['noise_l2']:g}"
    if detector and detector.get("class_weight", "none") != "none":
        counted += f", {detector['class_weight']} classes"
    sizes = f"set I {detector['n_fit']}, set II {spec['n_test']}" if detector else f"n {spec['n_test']}"
    n_train = spec["classifier"]["n_train"]
    trained_how = f"recipe {spec['recipe']}, {n_train} training images, " if n_train else ""  # a user's comes trained
    return f"protocol {spec['protocol']}, {trained_how}{sizes} images, seed {spec['seed']}{counted}"


def _dataset_name(spec: dict[str, Any]) -> str:
    """A dataset and how its images were converted: "folder:x (32 px, 1 channel)"."""
    size, channels = spec.get("image_size"), spec.get("channels")
    made = [f"{size} px"] if size else []
    made += [f"{channels} channel{'s' if channels > 1 else ''}"] if channels else []
    return f"{spec['dataset']} ({', '.join(made)})" if made else str(spec["dataset"])


def budget(spec: dict[str, Any]) -> str:
    """All options of the test attack but the confidence, and whose it is and how precise where that is no default."""
    options = {name: value for name, value in spec["attack_config"].items() if name != "confidence"}
    options |= {name: spec[name] for name, default in PLAIN.items() if spec.get(name, default) != default}
    parts = [f"{name.replace('_', ' ')} {value}" for name, value in options.items() if value is not None]
    return f" ({', '.join(parts)})" if parts else ""


def attack_name(spec: dict[str, Any]) -> str:
    """An attack as tables name it: "cw κ=9 →3"."""
    confidence = spec["attack_config"].get("confidence", 0)
    name = f"{spec['attack']} κ={confidence:g}" if confidence else str(spec["attack"])
    return name if spec["target"] == "none" else f"{name} →{spec['target']}"
