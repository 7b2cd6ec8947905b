"""`bench check`: today's numbers against a baseline's, for continuous integration."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import run_options as options
from bench.cli.given import listed_values, workspace_of

GATE = "The gate"


def check_command(  # one parameter an option, in the order --help shows them
    ctx: typer.Context,
    baseline: Annotated[Path, typer.Option(help="What to compare with.", metavar="FILE", rich_help_panel=GATE)] = Path(
        "results/baselines/ci.json"
    ),
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="A larger change counts whatever the test says: of a rate, AUROC or AUPR absolute (0.05 is 5 points), "
            "of a median L2 or margin relative (default: the tests alone decide).",
            metavar="X",
            rich_help_panel=GATE,
            show_default=False,
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Write the baseline anew from today's runs.", rich_help_panel=GATE),
    ] = False,
    form: Annotated[
        str, typer.Option("--format", help="text, json, junit or github.", metavar="NAME", rich_help_panel=GATE)
    ] = "text",
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of the screen.", rich_help_panel=GATE)
    ] = None,
    defense: options.Defense = None,
    attack: options.Attack = None,
    threat: options.Threat = None,
    model: options.Model = None,
    weights: options.Weights = None,
    dataset: options.Dataset = None,
    recipe: options.Recipe = None,
    protocol: options.Protocol = None,
    seed: options.Seed = None,
    n_train: options.NTrain = None,
    n_fit: options.NFit = None,
    n_test: options.NTest = None,
    image_size: options.ImageSize = None,
    channels: options.Channels = None,
    target: options.Target = None,
    backend: options.Backend = None,
    precision: options.Precision = None,
    until: options.Until = None,
    full: options.Full = False,
    epsilon: options.Epsilon = None,
    step_size: options.StepSize = None,
    steps: options.Steps = None,
    restarts: options.Restarts = None,
    queries: options.Queries = None,
    targets: options.Targets = None,
    noise: options.Noise = None,
    guides: options.Guides = None,
    expectation: options.Expectation = None,
    confidence: options.Confidence = None,
    max_l2: options.MaxL2 = None,
    search_steps: options.SearchSteps = None,
    initial_c: options.InitialC = None,
    learning_rate: options.LearningRate = None,
    epochs: options.Epochs = None,
    embedding_dim: options.EmbeddingDim = None,
    prior: options.Prior = None,
    regularizer: options.Regularizer = None,
    regularizer_weight: options.RegularizerWeight = None,
    encoder_init: options.EncoderInit = None,
    head_rate: options.HeadRate = None,
    train_learning_rate: options.TrainLearningRate = None,
    train_epsilon: options.TrainEpsilon = None,
    adversarial_training: options.AdversarialTraining = False,
    train_attack: options.TrainAttack = None,
    counted: options.Counted = None,
    noise_l2: options.NoiseL2 = None,
    class_weight: options.ClassWeight = None,
    bandwidth: options.Bandwidth = None,
    density: options.Density = None,
    neighbors: options.Neighbors = None,
    jobs: options.Jobs = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = Path("data"),
    download: options.Download = False,
    results_dir: options.ResultsDir = Path("results"),
    batch_size: options.BatchSize = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Run a baseline's cells, or find them, and compare; exit with 1 when something got worse beyond chance.

    Options of a run choose among the baseline's cells; with --update they are the grid that the baseline becomes.

    Example: bench check --update --baseline mine.json --defense standard,er1 --attack fgsm,pgd
    """
    from attacks.errors import RequestError
    from attacks.registration import unknown_name
    from bench.cli.check_formats import FORMATS
    from bench.files import write_atomically, write_text
    from bench.gate.check import check
    from bench.gate.check import update as update_baseline

    if form not in FORMATS:
        raise RequestError(unknown_name("format", form, list(FORMATS)))
    if update and tolerance is not None:
        raise RequestError("--tolerance is for comparing; --update takes today's numbers as they are")
    values = listed_values(ctx.params)
    workspace = workspace_of(ctx.params)
    if update:
        found = update_baseline(baseline, workspace, values=values, jobs=jobs)
    else:
        found = check(baseline, workspace, values=values, tolerance=tolerance, jobs=jobs)
    text = FORMATS[form](found)
    if out is None:
        typer.echo(text)
    else:
        write_atomically(out, lambda path: write_text(path, text + "\n"))
    raise typer.Exit(1 if found.fails else 0)
