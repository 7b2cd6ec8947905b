"""`bench paper`: the paper's tables and figures, ours beside theirs."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import run_options as options

OWN = "Options of single artifacts"
Dims = Annotated[str | None, options.option(OWN, "figure1: embedding dimensions, for instance 2,4,13.", "LIST")]
Epsilons = Annotated[str | None, options.option(OWN, "figure1 to figure3: the attack's budgets.", "LIST")]
TrainEpsilons = Annotated[str | None, options.option(OWN, "figure2: budgets of adversarial training.", "LIST")]
Weights = Annotated[str | None, options.option(OWN, "kl: values of lambda_1.", "LIST")]
Defenses = Annotated[
    str | None, options.option(OWN, "figure4: classifiers side by side (default er-classifier,madry).", "LIST")
]
Grid = Annotated[str | None, options.option(OWN, "figure4: points a side (default 51).", "INT")]
Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        help="figure4: farthest step in pixel units (default supplement Table 1's epsilon).",
        metavar="FLOAT",
        rich_help_panel=OWN,
        show_default=False,
    ),
]
Images = Annotated[str | None, options.option(OWN, "figure4: images behind the mean surface (default 100).", "INT")]
Precision = Annotated[str | None, options.option(OWN, "figure4: auto, float32 or bfloat16 (default auto).", "NAME")]
Samples = Annotated[str | None, options.option(OWN, "theorem1: images and prior samples (default 1000).", "INT")]


def paper_command(
    ctx: typer.Context,
    artifacts: Annotated[
        list[str], typer.Argument(metavar="ARTIFACT...", help="Names from `bench list artifacts`, or all.")
    ],
    dataset: Annotated[str, typer.Option(help="See `bench list datasets`; folder:PATH for your own.")] = "digits",
    recipe: Annotated[str, typer.Option(help="Training settings: quick or paper.")] = "quick",
    seeds: Annotated[int, typer.Option(help="How often everything is repeated, for the intervals.")] = 3,
    collect: Annotated[
        bool, typer.Option("--collect", help="Compute nothing: put together what is stored, or say what is missing.")
    ] = False,
    n_train: options.NTrain = None,
    n_fit: options.NFit = None,
    n_test: options.NTest = None,
    epochs: options.Epochs = None,
    regularizer_weight: options.RegularizerWeight = None,
    head_rate: options.HeadRate = None,
    train_learning_rate: options.TrainLearningRate = None,
    bandwidth: options.Bandwidth = None,
    density: options.Density = None,
    class_weight: options.ClassWeight = None,
    max_l2: options.MaxL2 = None,
    dims: Dims = None,
    epsilons: Epsilons = None,
    train_epsilons: TrainEpsilons = None,
    weights: Weights = None,
    defenses: Defenses = None,
    grid: Grid = None,
    range_: Range = None,
    images: Images = None,
    precision: Precision = None,
    samples: Samples = None,
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
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Make the paper's tables and figures, ours beside theirs, as LaTeX, Markdown, CSV, PNG and PDF.

    They go to RESULTS/paper/DATASET/RECIPE/. What another artifact or run has computed is reused, and a killed command
    goes on where it stopped.

    Example: bench paper table3 --dataset digits --seeds 1
    """
    from bench.cli.given import workspace_of
    from bench.cli.paper_output import show_artifact, show_missing
    from bench.executors.driver import Crew
    from bench.paper.make import make_artifacts
    from bench.paper.options import read_request

    given = {name.rstrip("_"): value for name, value in ctx.params.items() if value is not None}
    request = read_request(dataset=dataset, recipe=recipe, seeds=seeds, given=given)
    crew = Crew(executor=executor, address=ray_address, jobs=jobs, cpus=cpus_per_job, gpus=gpus_per_job)
    finished = []
    for each in make_artifacts(artifacts, request, workspace_of(ctx.params), crew=crew, collects=collect):
        show_artifact(each)
        finished.append(each)
    raise typer.Exit(show_missing(finished))
