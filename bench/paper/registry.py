"""Every artifact of the paper, in one table."""

from attacks.registration import Registry
from bench.paper.artifacts.architectures import TABLE7, TABLE8
from bench.paper.artifacts.detection import TABLE3, TABLE4, TABLE5, TABLE6
from bench.paper.artifacts.embeddings import FIGURE5, FIGURE6
from bench.paper.artifacts.figure4 import FIGURE4
from bench.paper.artifacts.kl import KL
from bench.paper.artifacts.robustness_curves import FIGURE1, FIGURE2, FIGURE3
from bench.paper.artifacts.table1 import TABLE1
from bench.paper.artifacts.table2 import TABLE2
from bench.paper.artifacts.theorem1 import THEOREM1
from bench.paper.contract import ArtifactEntry

ARTIFACTS: Registry[ArtifactEntry] = Registry(
    "artifact",
    "erbench.artifacts",
    (
        TABLE1,
        TABLE2,
        TABLE3,
        TABLE4,
        TABLE5,
        TABLE6,
        TABLE7,
        TABLE8,
        FIGURE1,
        FIGURE2,
        FIGURE3,
        FIGURE4,
        FIGURE5,
        FIGURE6,
        KL,
        THEOREM1,
    ),
)
