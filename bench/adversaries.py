"""What an attacker knows of a detector: nothing (oblivious), or everything (adaptive), and which attack that makes.

Source: Carlini & Wagner 2017, arXiv:1705.07263, section 2.2 (zero-knowledge and perfect-knowledge adversaries).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attacks.adaptive import ADAPTIVE as ADAPTIVE_ATTACK
from attacks.apgd import APGD_CE, APGD_DLR
from attacks.apgd_targeted import APGD_T
from attacks.auto import AUTO
from attacks.black_box_detector import SQUARE_DETECTOR
from attacks.cw import CW
from attacks.cw_detector import CW_DETECTOR
from attacks.errors import RequestError
from attacks.fab import FAB
from attacks.fgsm import FGSM
from attacks.pgd import PGD
from attacks.pgd_detector import PGD_SELECTIVE
from attacks.registration import unknown_name
from attacks.registry import ATTACKS
from attacks.square import SQUARE
from bench.spec import ADAPTIVE, OBLIVIOUS, THREATS
from defenses.contract import DetectorEntry
from defenses.registry import DEFENSES

COUNTERPARTS = {
    CW.name: CW_DETECTOR.name,
    FAB.name: CW_DETECTOR.name,
    SQUARE.name: SQUARE_DETECTOR.name,
    AUTO.name: ADAPTIVE_ATTACK.name,
} | dict.fromkeys((entry.name for entry in (FGSM, PGD, APGD_CE, APGD_DLR, APGD_T)), PGD_SELECTIVE.name)
"""What an attack becomes in the hands of somebody who knows the detector."""


def with_attack(values: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    """An attacker who knows the detector needs no attack named: `adaptive` is the worst case of all of them.

    Raises:
        RequestError: a threat is unknown.
    """
    threats = values.get("threat", ())
    for threat in threats:
        if threat not in THREATS:
            raise RequestError(unknown_name("threat", threat, list(THREATS)))
    if list(threats) == [ADAPTIVE] and not values.get("attack"):
        return dict(values) | {"attack": [ADAPTIVE_ATTACK.name]}
    return values


def attack_under(threat: str | None, defense_name: str, attack_name: str) -> str | None:
    """The attack that a threat makes of the named one; None where the two do not go together.

    Args:
        threat: one of `THREATS`; None takes the attack as it is.
        defense_name: registered; a bare classifier has no detector that could be known.
        attack_name: registered.

    Raises:
        RequestError: the attack has no counterpart that knows the detector.
    """
    entry = ATTACKS.get(attack_name)
    if threat is None:
        return attack_name
    if threat == OBLIVIOUS:
        return None if entry.is_aware else attack_name
    if not isinstance(DEFENSES.get(defense_name), DetectorEntry):
        return None
    if entry.is_aware:
        return attack_name
    if attack_name not in COUNTERPARTS:
        raise RequestError(
            f"--threat adaptive knows no counterpart of {attack_name}; take --attack {ADAPTIVE_ATTACK.name}"
        )
    return COUNTERPARTS[attack_name]


def nothing_left(values: Mapping[str, Sequence[Any]]) -> RequestError:
    """The error of a grid whose threats go with none of its attacks and defenses."""
    attacks, defenses = (", ".join(map(str, values[name])) for name in ("attack", "defense"))
    if list(values["threat"]) == [OBLIVIOUS]:
        return RequestError(f"--threat oblivious: {attacks} knows the detector; leave one of them out")
    return RequestError(f"--threat adaptive is about detectors, and {defenses} is a bare classifier: leave it out")
