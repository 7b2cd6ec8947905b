"""Every attack, in one table."""

from attacks.adaptive import ADAPTIVE
from attacks.apgd import APGD_CE, APGD_DLR
from attacks.apgd_targeted import APGD_T
from attacks.auto import AUTO
from attacks.black_box_detector import SQUARE_DETECTOR, TRANSFER
from attacks.contract import AttackEntry
from attacks.cw import CW
from attacks.cw_detector import CW_DETECTOR
from attacks.fab import FAB
from attacks.fgsm import FGSM
from attacks.match import MATCH
from attacks.noise import NOISE
from attacks.pgd import PGD
from attacks.pgd_detector import PGD_ORTHOGONAL, PGD_SELECTIVE
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
        CW_DETECTOR,
        PGD_SELECTIVE,
        PGD_ORTHOGONAL,
        MATCH,
        TRANSFER,
        SQUARE_DETECTOR,
        ADAPTIVE,
    ),
)
