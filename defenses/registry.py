"""Every defense, classifiers and detectors, in one table."""

from attacks.registration import Registry
from defenses.classifiers.baseline import MADRY, STANDARD
from defenses.classifiers.er_classifier import E_CLA, ER_CLASSIFIER, ER_CLASSIFIER_AT
from defenses.classifiers.user_model import USER_MODEL
from defenses.contract import DefenseEntry
from defenses.detectors.kernel_density import ER1, ER1_MINUS, ER2, ER2_MINUS, KD
from defenses.detectors.lid import LID

DEFENSES: Registry[DefenseEntry] = Registry(
    "defense",
    "erbench.defenses",
    (STANDARD, MADRY, E_CLA, ER_CLASSIFIER, ER_CLASSIFIER_AT, KD, LID, ER1, ER2, ER1_MINUS, ER2_MINUS, USER_MODEL),
)
