"""What must hold of any attack that works: more steps, a larger ball and no bound at all never make it weaker.

Sources: Athalye et al. 2018, arXiv:1802.00420, section 3.1; Carlini et al. 2019, arXiv:1902.06705, section 4;
Pintor et al. 2022, arXiv:2106.09947 (unconstrained attack failure).
"""

from itertools import pairwise

from torch import Tensor

from attacks.fgsm import FGSM, FgsmConfig
from bench.metrics.changes import mcnemar
from bench.metrics.rates import rate
from bench.sanity.climbs import Budget, attack_with, broken_by, examined, known_budget, named, none_right
from bench.sanity.contract import DOCTOR, Case, Check, Evidence

LEVEL = 0.05  # of the paired tests
FACTORS = (0.5, 1.0, 2.0)  # of epsilon
HALF, WHOLE = 0.5, 1.0  # epsilons: any image turns gray, any image turns into any other
UNBOUNDED_STEPS = 100
STRIDE = 2.5  # of epsilon, all steps together (Madry et al. 2018)
MOST_STANDING = 0.02  # lower end of the interval of images that withstand everything; 2 of 50 are not told from none


def _single_step(case: Case) -> Evidence | None:
    budget = known_budget(case)
    single = attack_with(case, FGSM, FgsmConfig(epsilon=budget.epsilon), examined(case), traced=False).success
    iterated = broken_by(case, budget)
    won, lost = int((single & ~iterated).sum()), int((iterated & ~single).sum())
    if won <= lost or mcnemar(lost, won) >= LEVEL:
        return None
    return Evidence(
        sentence=f"one step of FGSM succeeds on {int(single.sum())} of {len(single)} images, {budget.steps} steps of "
        f"PGD in the same ball on {int(iterated.sum())}",
        images=named(case, single & ~iterated),
        numbers={"single_step": float(single.sum()), "iterated": float(iterated.sum()), "n": float(len(single))},
    )


def _falls(case: Case) -> Evidence | None:
    budget = known_budget(case)
    ladder = []
    for factor in FACTORS:
        epsilon = min(1.0, factor * budget.epsilon)
        scaled = Budget(epsilon=epsilon, step_size=budget.step_size * epsilon / budget.epsilon, steps=budget.steps)
        ladder.append((epsilon, broken_by(case, scaled)))
    for (small, before), (large, after) in pairwise(ladder):
        won, lost = int((after & ~before).sum()), int((before & ~after).sum())
        if lost > won and mcnemar(lost, won) < LEVEL:
            return Evidence(
                sentence=f"PGD succeeds on {int(before.sum())} of {len(before)} images at epsilon {small:g} and on "
                f"{int(after.sum())} at {large:g}",
                images=named(case, before & ~after),
                numbers={"before": float(before.sum()), "after": float(after.sum()), "n": float(len(before))},
            )
    return None


def _unbounded(case: Case) -> Evidence | None:
    for epsilon, allowed in ((HALF, 1 / case.classes), (WHOLE, MOST_STANDING)):
        success = _freely(case, epsilon)
        standing = rate(int((~success).sum()), len(success))
        if standing.low is not None and standing.low > allowed:
            return Evidence(
                sentence=f"PGD with epsilon {epsilon:g}, which leaves nothing of the image, still fails on "
                f"{standing.successes} of {standing.n} images",
                images=named(case, ~success),
                numbers={"epsilon": epsilon, "standing": float(standing.successes), "n": float(standing.n)},
            )
    return None


def _freely(case: Case, epsilon: float) -> Tensor:
    return broken_by(
        case, Budget(epsilon=epsilon, step_size=STRIDE * epsilon / UNBOUNDED_STEPS, steps=UNBOUNDED_STEPS, restarts=2)
    )


SINGLE_STEP = Check(
    name="single-step-wins",
    summary="FGSM succeeds more often than PGD in the same ball",
    source="Athalye et al. 2018, arXiv:1802.00420, section 3.1",
    advice="Distrust the gradients: differentiate a smooth stand-in (BPDA), or attack without gradients (square).",
    find=_single_step,
    excused=none_right,
    cost=DOCTOR,
)
FALLS = Check(
    name="success-falls-with-epsilon",
    summary="PGD succeeds less often in a larger ball",
    source="Carlini et al. 2019, arXiv:1902.06705, section 4.3; arXiv:1802.00420, section 3.1",
    advice="Raise --steps and --restarts with epsilon, and try an attack without gradients (--attack square).",
    find=_falls,
    excused=none_right,
    cost=DOCTOR,
)
UNBOUNDED = Check(
    name="unbounded-attack-fails",
    summary="PGD at epsilon 0.5 leaves more than chance, or at epsilon 1 more than none, of the images standing",
    source="Athalye et al. 2018, arXiv:1802.00420, section 3.1; arXiv:1902.06705, section 4.3",
    advice="The gradients do not lead to images that surely exist; repair the attack before believing any robustness.",
    find=_unbounded,
    excused=none_right,
    cost=DOCTOR,
)
CHECKS = (SINGLE_STEP, FALLS, UNBOUNDED)
