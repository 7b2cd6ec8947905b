"""The options of the commands that run attacks, each with its help; `bench.options` says how its text is read."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.settings import take_settings_of_file, take_settings_of_record

WHAT = "What to run (each takes a comma list: a grid)"
IMAGES = "Images"
ATTACK = "Attack options"
DEFENSE = "Defense options"
DETECTOR = "Detector options"
SWEEP = "Sweeps"
PLACE = "Where and how"


def option(panel: str, help_text: str, metavar: str) -> Any:
    """An option as `--help` shows it, without a default of its own: the text says what that is."""
    return typer.Option(help=help_text, metavar=metavar, rich_help_panel=panel, show_default=False)


Defense = Annotated[str | None, option(WHAT, "Classifier or detector; see `bench list defenses`.", "NAME")]
Attack = Annotated[str | None, option(WHAT, "Attack of the test images; see `bench list attacks`.", "NAME")]
Threat = Annotated[
    str | None,
    option(
        WHAT,
        "What the attacker knows of a detector: oblivious (nothing) or adaptive (all of it; makes cw cw-detector, pgd "
        "pgd-selective, and no attack the worst case of all, adaptive).",
        "NAME",
    ),
]
Model = Annotated[
    str | None,
    option(WHAT, "Your own torch.nn.Module instead of a defense: a file and what makes it.", "FILE.py:NAME"),
]
WEIGHTS_HELP = "Its weights: .safetensors, or a .pt, .pth or .bin that holds a state dict; nothing is unpickled."
Weights = Annotated[str | None, option(WHAT, WEIGHTS_HELP, "FILE")]
Dataset = Annotated[
    str | None, option(WHAT, "See `bench list datasets`; folder:PATH for your own (default digits).", "NAME")
]
Recipe = Annotated[
    str | None, option(WHAT, "Training settings: quick (minutes on a CPU) or paper (default quick).", "NAME")
]
Protocol = Annotated[
    str | None,
    option(WHAT, "sound: random correct images. paper: the first images, one fixed target (default sound).", "NAME"),
]
Seed = Annotated[str | None, option(WHAT, "Of everything random (default 0).", "INT")]
NTrain = Annotated[str | None, option(IMAGES, "Training images (default all).", "INT")]
NFit = Annotated[str | None, option(IMAGES, "Set I: fits a detector's logistic regression (default 100).", "INT")]
NTest = Annotated[str | None, option(IMAGES, "Set II: the images attacked and judged (default 100).", "INT")]
ImageSize = Annotated[str | None, option(IMAGES, "Resize the images of folder:PATH to this side.", "PX")]
Channels = Annotated[str | None, option(IMAGES, "Convert the images of folder:PATH: 1 gray, 3 color.", "1|3")]
Target = Annotated[
    str | None,
    option(ATTACK, "none, random, least-likely or a class number (default none; paper protocol: a fixed class).", "T"),
]
Backend = Annotated[
    str | None,
    option(
        ATTACK,
        "Whose fgsm, pgd and cw: native, torchattacks or foolbox; all judged alike (default native).",
        "NAME",
    ),
]
Precision = Annotated[
    str | None,
    option(ATTACK, "Of the attack's passes: float32, tf32 or bfloat16; judged in float32 (default float32).", "NAME"),
]
Until = Annotated[
    str | None,
    option(
        ATTACK,
        "success: an image is done as soon as it is broken. end: every step (default success for classifiers, "
        "end for detectors).",
        "NAME",
    ),
]
Full = Annotated[bool, typer.Option("--full", help="The same as --until end.", rich_help_panel=ATTACK)]
Epsilon = Annotated[
    str | None,
    option(
        ATTACK,
        "all but cw: L-infinity budget in (0, 1] (default 0.3 on digits and MNIST, 0.03 on cifar10 and stl10, "
        "0.01 on tiny-imagenet).",
        "FLOAT",
    ),
]
StepSize = Annotated[
    str | None,
    option(ATTACK, "pgd: step in pixel units (default 0.01; stl10 0.0078, tiny-imagenet 0.0025).", "FLOAT"),
]
Steps = Annotated[
    str | None,
    option(
        ATTACK,
        "pgd: a restart (default 40; cifar10 and stl10 20, tiny-imagenet 10). apgd-*, fab, auto: a restart and "
        "target (default 100). cw: a value of c (default 150).",
        "INT",
    ),
]
Restarts = Annotated[str | None, option(ATTACK, "pgd, apgd-*, fab: random starts; noise: draws (default 1).", "INT")]
Queries = Annotated[str | None, option(ATTACK, "square, auto: looks at the model (default 5000).", "INT")]
Targets = Annotated[str | None, option(ATTACK, "apgd-t, fab, auto: wrong classes tried per image (default 9).", "INT")]
Noise = Annotated[str | None, option(ATTACK, "noise: uniform or gaussian (default uniform).", "NAME")]
Guides = Annotated[str | None, option(ATTACK, "match, adaptive: clean images imitated (default 3).", "INT")]
Expectation = Annotated[
    str | None,
    option(ATTACK, "Attacks on detectors: looks averaged a step, for defenses that draw at random (default 1).", "INT"),
]
Confidence = Annotated[
    str | None, option(ATTACK, "cw, adaptive and its members: kappa, the logit margin to reach (default 0).", "FLOAT")
]
MaxL2 = Annotated[
    str | None,
    option(
        ATTACK,
        "cw: farther images count as not found. adaptive: its L2 budget beside epsilon (default 4.85 on digits and "
        "MNIST, 0.96 on cifar10).",
        "FLOAT",
    ),
]
SearchSteps = Annotated[str | None, option(ATTACK, "cw: values of c tried per image (default 4).", "INT")]
InitialC = Annotated[str | None, option(ATTACK, "cw: the first c (default 1).", "FLOAT")]
LearningRate = Annotated[str | None, option(ATTACK, "cw: Adam's step (default 0.1).", "FLOAT")]
Epochs = Annotated[str | None, option(DEFENSE, "Training epochs (default the recipe's).", "INT")]
EmbeddingDim = Annotated[str | None, option(DEFENSE, "Axes of an ER network's embedding.", "INT")]
Prior = Annotated[str | None, option(DEFENSE, "gaussian, uniform or cauchy (default gaussian).", "NAME")]
Regularizer = Annotated[
    str | None,
    option(DEFENSE, "What draws the embedding to the prior: adversarial, kl or none.", "NAME"),
]
RegularizerWeight = Annotated[str | None, option(DEFENSE, "lambda_1 (default the recipe's).", "FLOAT")]
EncoderInit = Annotated[
    str | None, option(DEFENSE, "cifar10's ER encoder: scratch or imagenet (548 MB) (default scratch).", "NAME")
]
HeadRate = Annotated[
    str | None,
    option(DEFENSE, "ER networks: the classifier's learning rate over the encoder's (default the recipe's).", "FLOAT"),
]
TrainLearningRate = Annotated[
    str | None,
    option(DEFENSE, "Adam's step in training; of ER networks the encoder's (default the recipe's).", "FLOAT"),
]
TrainEpsilon = Annotated[
    str | None,
    option(DEFENSE, "madry, er-classifier-at: L-infinity budget of training (default supplement Table 1's).", "FLOAT"),
]
AdversarialTraining = Annotated[
    bool,
    typer.Option("--adversarial-training", help="Watch the min-max trained classifier.", rich_help_panel=DETECTOR),
]
TrainAttack = Annotated[
    str | None, option(DETECTOR, "What set I is attacked with: any attack, to its end (default fgsm).", "NAME")
]
Counted = Annotated[
    str | None,
    option(
        DETECTOR,
        "Adversarial images of set II that count: reached (the confidence) or all "
        "(default reached for a confidence above 0 under the sound protocol).",
        "NAME",
    ),
]
NoiseL2 = Annotated[
    str | None, option(DETECTOR, "Mean L2 of the noisy images (default that of the adversarial ones).", "FLOAT")
]
ClassWeight = Annotated[
    str | None,
    option(DETECTOR, "Of the logistic regression: none, or balanced between both classes (default none).", "NAME"),
]
Bandwidth = Annotated[
    str | None, option(DETECTOR, "kd, er*: of the kernel; auto by held-out likelihood (default auto).", "FLOAT")
]
Density = Annotated[
    str | None, option(DETECTOR, "kd, er*: score by the log or the linear density (default log).", "NAME")
]
Neighbors = Annotated[str | None, option(DETECTOR, "lid: k (default 20).", "INT")]
Config = Annotated[
    Path | None,
    typer.Option(
        help='A TOML file with any of these options, defense = ["er1", "kd"] for instance; flags go before it.',
        rich_help_panel=SWEEP,
        metavar="FILE.toml",
        callback=take_settings_of_file,
        is_eager=True,
        show_default=False,
    ),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="A record.json: run what made it; further options change that.",
        rich_help_panel=SWEEP,
        metavar="RECORD",
        callback=take_settings_of_record,
        is_eager=True,
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Show the cells, what is done already, and how long the rest may take.", rich_help_panel=SWEEP
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="Processes that share the cells and their images (default 1; with Ray as many as fit).",
        rich_help_panel=SWEEP,
        metavar="INT",
        show_default=False,
    ),
]
Executor = Annotated[str, typer.Option(help="local or ray.", rich_help_panel=SWEEP, metavar="NAME")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of a Ray cluster (default $RAY_ADDRESS, or one started here).",
        rich_help_panel=SWEEP,
        metavar="ADDRESS",
        show_default=False,
    ),
]
CpusPerJob = Annotated[
    float | None,
    typer.Option(
        help="CPU threads of one job (default: the cores shared out; with Ray 1).",
        rich_help_panel=SWEEP,
        metavar="FLOAT",
        show_default=False,
    ),
]
GpusPerJob = Annotated[
    float | None,
    typer.Option(
        help="GPUs of one Ray job, also a fraction (default 1 on CUDA).",
        rich_help_panel=SWEEP,
        metavar="FLOAT",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=PLACE, metavar="NAME")]
DataDir = Annotated[Path, typer.Option(help="Where the datasets are.", rich_help_panel=PLACE, envvar="ERBENCH_DATA")]
Download = Annotated[bool, typer.Option("--download", help="Fetch a missing dataset.", rich_help_panel=PLACE)]
ResultsDir = Annotated[
    Path,
    typer.Option(help="Where records and caches go.", rich_help_panel=PLACE, envvar="ERBENCH_RESULTS"),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        help="Images attacked together, rounded to whole chunks of 50 above 50; changes no result of our own attacks "
        "(default 100, on CUDA 1000).",
        rich_help_panel=PLACE,
        metavar="INT",
        show_default=False,
    ),
]
Trace = Annotated[bool, typer.Option("--trace", help="Store loss and margin of every step.", rich_help_panel=PLACE)]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.", rich_help_panel=PLACE)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=PLACE)]
