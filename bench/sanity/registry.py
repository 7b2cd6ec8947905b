"""Every sanity check, in one table: the cheap ones of every run first."""

from bench.sanity import black_box, budget, data, gradients, outputs, rivals, rows, trends
from bench.sanity.contract import DEFAULT, Check

MODULES = (outputs, gradients, rows, data, budget, trends, black_box, rivals)
CHECKS: tuple[Check, ...] = tuple(
    sorted((check for module in MODULES for check in module.CHECKS), key=lambda check: check.cost != DEFAULT)
)
DEFAULTS = tuple(check for check in CHECKS if check.cost == DEFAULT)
