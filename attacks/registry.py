"""Every attack, in one table."""

from attacks.contract import AttackEntry
from attacks.cw import CW
from attacks.fgsm import FGSM
from attacks.pgd import PGD
from attacks.registration import Registry

ATTACKS: Registry[AttackEntry] = Registry("attack", "erbench.attacks", (FGSM, PGD, CW))
