"""`bench crosscheck`: one attack, several implementations, the same budget."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import run_options as options
from bench.cli.given import listed_values, workspace_of

WHAT = "What to compare (one value each)"
Attack = Annotated[str | None, options.option(WHAT, "fgsm, pgd or cw: what other implementations have.", "NAME")]
Defense = Annotated[str | None, options.option(WHAT, "Classifier to attack (default standard).", "NAME")]
Model = Annotated[
    str | None, options.option(WHAT, "Your own torch.nn.Module instead: a file and what makes it.", "FILE.py:NAME")
]
Weights = Annotated[str | None, options.option(WHAT, options.WEIGHTS_HELP, "FILE")]
Dataset = Annotated[
    str | None, options.option(WHAT, "See `bench list datasets`; folder:PATH for your own (default digits).", "NAME")
]
Recipe = Annotated[str | None, options.option(WHAT, "Training settings: quick or paper (default quick).", "NAME")]
Seed = Annotated[str | None, options.option(WHAT, "Of everything random (default 0).", "INT")]
NTest = Annotated[
    str | None,
    options.option(options.IMAGES, "Images attacked, of those that the model gets right (default 100).", "INT"),
]
Target = Annotated[
    str | None, options.option(options.ATTACK, "none, random, least-likely or a class number (default none).", "T")
]
Until = Annotated[
    str | None,
    options.option(
        options.ATTACK, "end: every step for every image. success: native may stop early (default end).", "NAME"
    ),
]


def crosscheck_command(  # one parameter an option, in the order --help shows them
    ctx: typer.Context,
    attack: Attack = None,
    defense: Defense = None,
    model: Model = None,
    weights: Weights = None,
    dataset: Dataset = None,
    recipe: Recipe = None,
    seed: Seed = None,
    n_train: options.NTrain = None,
    n_test: NTest = None,
    image_size: options.ImageSize = None,
    channels: options.Channels = None,
    target: Target = None,
    backends: Annotated[
        str | None,
        typer.Option(
            help="Implementations to compare with native, a comma list (default all installed).",
            metavar="NAME",
            rich_help_panel=options.ATTACK,
        ),
    ] = None,
    precision: options.Precision = None,
    until: Until = None,
    epsilon: options.Epsilon = None,
    step_size: options.StepSize = None,
    steps: options.Steps = None,
    restarts: options.Restarts = None,
    confidence: options.Confidence = None,
    search_steps: options.SearchSteps = None,
    initial_c: options.InitialC = None,
    learning_rate: options.LearningRate = None,
    epochs: options.Epochs = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = Path("data"),
    download: options.Download = False,
    results_dir: options.ResultsDir = Path("results"),
    out: Annotated[
        Path | None, typer.Option(help="Write the table to this Markdown file too.", rich_help_panel=options.PLACE)
    ] = None,
    batch_size: options.BatchSize = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Run one attack through all installed implementations on the same images, model and budget; judge them alike.

    Every step is taken for every image, also where the native attack would stop early. Exits with 1 when the native
    attack is beaten beyond its interval, and with 2 when there is nothing to compare it with.

    Example: bench crosscheck --attack cw --confidence 5
    """
    from attacks.errors import RequestError
    from attacks.registry import ATTACKS
    from bench.cli.crosscheck_output import show_crosscheck
    from bench.crosscheck import choose_backends, crosscheck
    from bench.request import config_names
    from bench.sweep import plan

    values = listed_values(ctx.params)
    if attack is None:
        raise RequestError("--attack is needed: fgsm, pgd or cw")
    if not values.get("model"):
        values.setdefault("defense", ["standard"])
    if any(len(listed) > 1 for listed in values.values()):
        raise RequestError("crosscheck compares one attack on one model; give each option one value")
    if "until" in config_names(ATTACKS.get(values["attack"][0]).config):
        values.setdefault("until", ["end"])
    asked = None if backends is None else [name.strip() for name in backends.split(",")]
    chosen = choose_backends(values["attack"][0], asked)
    workspace = workspace_of(ctx.params)
    (cell,) = plan(values, workspace)
    raise typer.Exit(show_crosscheck(cell.spec, crosscheck(cell, chosen, workspace), out))
