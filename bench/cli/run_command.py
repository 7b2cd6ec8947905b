"""`bench run`: one cell, or a grid when options are comma lists."""

from pathlib import Path

import typer

from bench.cli import run_options as options
from bench.cli.given import listed_values, workspace_of

UNCHECKED = {"full", "config", "from_record", "dry_run", "results_dir", "data_dir", "quiet", "debug"}


def run_command(  # one parameter an option, in the order --help shows them
    ctx: typer.Context,
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
    config: options.Config = None,
    from_record: options.From = None,
    dry_run: options.DryRun = False,
    jobs: options.Jobs = None,
    executor: options.Executor = "local",
    ray_address: options.RayAddress = None,
    cpus_per_job: options.CpusPerJob = None,
    gpus_per_job: options.GpusPerJob = None,
    device: options.Device = "auto",
    data_dir: options.DataDir = Path("data"),
    download: options.Download = False,
    results_dir: options.ResultsDir = Path("results"),
    batch_size: options.BatchSize = None,
    trace: options.Trace = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Attack a defense and judge it: one cell, or a grid when options are comma lists.

    Whatever was computed before is reused: the same command prints the same table in seconds, and a killed one
    goes on where it stopped. Several commands may work on the same cells in the same folder.

    Example: bench run --defense er1 --attack cw --confidence 20
    """
    from bench.cli.run_output import show_grid
    from bench.options import OPTIONS
    from bench.storage.answers import answer, note_of, remember

    values = listed_values(ctx.params)
    settings = {name: ctx.params[name] for name in ctx.params.keys() - OPTIONS.keys() - UNCHECKED}
    note = None if dry_run else note_of(values, settings, results_dir=results_dir, data_dir=data_dir)
    known = answer(note, results_dir) if note else None
    if known is not None:  # before PyTorch is imported
        raise typer.Exit(show_grid(known, results_dir))

    from bench.cli.plan_output import show_plan
    from bench.command_line import run_of_record
    from bench.executors.driver import Crew, swept_by
    from bench.sweep import in_order, plan

    crew = Crew(executor=executor, address=ray_address, jobs=jobs, cpus=cpus_per_job, gpus=gpus_per_job)
    workspace = workspace_of(ctx.params)
    cells = plan(values, workspace)
    if from_record is not None and (run := run_of_record(from_record)[0]) not in {cell.run_id for cell in cells}:
        typer.echo(f"note: this is not run {run}: the options, the data or the version are others", err=True)
    if dry_run:
        show_plan(cells, workspace)
        raise typer.Exit
    records = in_order(cells, swept_by(crew, cells, workspace))
    if note:
        remember(note, records)
    raise typer.Exit(show_grid(records, results_dir))
