"""`bench crosscheck`: one attack, several implementations, the same budget."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import run_options as options
from bench.cli.given import listed_values, workspace_of


def crosscheck_command(  # one parameter an option, in the order --help shows them
    ctx: typer.Context,
    attack: options.Attack = None,
    defense: options.Defense = None,
    model: options.Model = None,
    weights: options.Weights = None,
    dataset: options.Dataset = None,
    recipe: options.Recipe = None,
    seed: options.Seed = None,
    n_train: options.NTrain = None,
    n_test: options.NTest = None,
    image_size: options.ImageSize = None,
    channels: options.Channels = None,
    target: options.Target = None,
    backends: Annotated[
        str | None,
        typer.Option(
            help="Implementations to compare, besides native (default all installed).",
            metavar="NAME",
            rich_help_panel=options.ATTACK,
        ),
    ] = None,
    precision: options.Precision = None,
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
    attack is beaten beyond its interval.

    Example: bench crosscheck --attack cw --confidence 5
    """
    from attacks.errors import RequestError
    from bench.cli.crosscheck_output import show_crosscheck
    from bench.crosscheck import crosscheck, default_backends
    from bench.sweep import plan

    values = listed_values(ctx.params)
    if attack is None:
        raise RequestError("--attack is needed: fgsm, pgd or cw")
    if not values.get("model"):
        values.setdefault("defense", ["standard"])
    if values["attack"] == ["pgd"]:
        values["until"] = ["end"]
    if any(len(listed) > 1 for listed in values.values()):
        raise RequestError("crosscheck compares one attack on one model; give each option one value")
    workspace = workspace_of(ctx.params)
    (cell,) = plan(values, workspace)
    chosen = default_backends(cell.spec.attack)
    if backends is not None:
        chosen = ["native", *(name.strip() for name in backends.split(",") if name.strip() != "native")]
    raise typer.Exit(show_crosscheck(cell.spec, crosscheck(cell, chosen, workspace), out))
