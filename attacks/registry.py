"""Every attack, in one table."""

from attacks.apgd import APGD_CE, APGD_DLR
from attacks.apgd_targeted import APGD_T
from attacks.auto import AUTO
from attacks.contract import AttackEntry
from attacks.cw import CW
from attacks.fab import FAB
from attacks.fgsm import FGSM
from attacks.noise import NOISE
from attacks.pgd import PGD
from attacks.registration import Registry
from attacks.square import SQUARE

ATTACKS: Registry[AttackEntry] = Registry(
    "attack",
    "erbench.attacks",
    (
        FGSM,
        PGD,
        CW,
        APGD_CE,
        APGD_DLR,
        APGD_T,
        FAB,
        SQUARE,
        AUTO,
        NOISE,
    ),
)
