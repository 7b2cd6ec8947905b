"""Steps that cannot reach what they are allowed to: the sums are done by hand."""

import pytest

from attacks.adaptive import AdaptiveConfig
from attacks.cw import CwConfig
from attacks.match import MatchConfig
from attacks.pgd import PgdConfig
from attacks.pgd_detector import PgdDetectorConfig
from bench.findings import budget_notes


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (PgdConfig(epsilon=0.3, step_size=0.01, steps=30), ""),
        (PgdConfig(epsilon=0.3, step_size=0.01, steps=29), "29 steps of 0.01 reach 0.29 of epsilon 0.3"),
        (PgdConfig(epsilon=0.1, step_size=0.3, steps=1), "leaps over"),
        # 0.01 (1 + 2 + ... + 40) / 40 = 0.205
        (PgdDetectorConfig(epsilon=0.3, step_size=0.01, steps=40), "falling to zero, reach 0.205 of epsilon 0.3"),
        (PgdDetectorConfig(epsilon=0.3, steps=2), "2 steps of 0.06, falling to zero, reach 0.09 of epsilon 0.3"),
        (PgdDetectorConfig(epsilon=0.3), ""),
        (MatchConfig(epsilon=0.3, steps=8), "8 steps of 0.06, falling to zero, reach 0.27"),
        (MatchConfig(epsilon=0.3), ""),
        (AdaptiveConfig(epsilon=0.3, max_l2=1.0, steps=2), "reach 0.09"),
        (AdaptiveConfig(epsilon=0.3, max_l2=1.0), ""),
        (CwConfig(steps=1), ""),
    ],
)
def test_steps_that_do_not_span_the_ball_are_told(config: object, said: str) -> None:
    notes = budget_notes(config)
    if said:
        (note,) = notes
        assert said in note
    else:
        assert notes == []
