"""`bench run`: one cell, or a grid when options are comma lists."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

WHAT = "What to run (each takes a comma list: a grid)"
IMAGES = "Images"
ATTACK = "Attack options"
DEFENSE = "Defense options"
DETECTOR = "Detector options"
PLACE = "Where and how"


def _option(panel: str, help_text: str, metavar: str) -> Any:
    return typer.Option(help=help_text, metavar=metavar, rich_help_panel=panel, show_default=False)


def run_command(  # one parameter an option, in the order --help shows them
    ctx: typer.Context,
    defense: Annotated[str | None, _option(WHAT, "Classifier or detector; see `bench list defenses`.", "NAME")] = None,
    attack: Annotated[str | None, _option(WHAT, "Attack of the test images; see `bench list attacks`.", "NAME")] = None,
    dataset: Annotated[
        str | None, _option(WHAT, "See `bench list datasets`; folder:PATH for your own (default digits).", "NAME")
    ] = None,
    recipe: Annotated[
        str | None, _option(WHAT, "Training settings: quick (minutes on a CPU) or paper (default quick).", "NAME")
    ] = None,
    protocol: Annotated[
        str | None,
        _option(
            WHAT, "sound: random correct images. paper: the first images, one fixed target (default sound).", "NAME"
        ),
    ] = None,
    seed: Annotated[str | None, _option(WHAT, "Of everything random (default 0).", "INT")] = None,
    n_train: Annotated[str | None, _option(IMAGES, "Training images (default all).", "INT")] = None,
    n_fit: Annotated[
        str | None, _option(IMAGES, "Set I: fits a detector's logistic regression (default 100).", "INT")
    ] = None,
    n_test: Annotated[
        str | None, _option(IMAGES, "Set II: the images attacked and judged (default 100).", "INT")
    ] = None,
    image_size: Annotated[str | None, _option(IMAGES, "Resize the images of folder:PATH to this side.", "PX")] = None,
    channels: Annotated[
        str | None, _option(IMAGES, "Convert the images of folder:PATH: 1 gray, 3 color.", "1|3")
    ] = None,
    target: Annotated[
        str | None,
        _option(
            ATTACK, "none, random, least-likely or a class number (default none; paper protocol: a fixed class).", "T"
        ),
    ] = None,
    epsilon: Annotated[
        str | None,
        _option(ATTACK, "fgsm, pgd: L-infinity budget in (0, 1] (default the paper's for the dataset).", "FLOAT"),
    ] = None,
    step_size: Annotated[str | None, _option(ATTACK, "pgd: step in pixel units.", "FLOAT")] = None,
    steps: Annotated[
        str | None, _option(ATTACK, "pgd: steps a restart. cw: steps a value of c (default 150).", "INT")
    ] = None,
    restarts: Annotated[str | None, _option(ATTACK, "pgd: random starts (default 1).", "INT")] = None,
    confidence: Annotated[
        str | None, _option(ATTACK, "cw: kappa, the logit margin to reach (default 0).", "FLOAT")
    ] = None,
    max_l2: Annotated[str | None, _option(ATTACK, "cw: farther images count as not found.", "FLOAT")] = None,
    search_steps: Annotated[str | None, _option(ATTACK, "cw: values of c tried per image (default 4).", "INT")] = None,
    initial_c: Annotated[str | None, _option(ATTACK, "cw: the first c (default 1).", "FLOAT")] = None,
    learning_rate: Annotated[str | None, _option(ATTACK, "cw: Adam's step (default 0.1).", "FLOAT")] = None,
    epochs: Annotated[str | None, _option(DEFENSE, "Training epochs (default the recipe's).", "INT")] = None,
    embedding_dim: Annotated[str | None, _option(DEFENSE, "Axes of an ER network's embedding.", "INT")] = None,
    prior: Annotated[str | None, _option(DEFENSE, "gaussian, uniform or cauchy (default gaussian).", "NAME")] = None,
    regularizer: Annotated[
        str | None,
        _option(DEFENSE, "What draws the embedding to the prior: adversarial, kl or none.", "NAME"),
    ] = None,
    regularizer_weight: Annotated[str | None, _option(DEFENSE, "lambda_1 (default the recipe's).", "FLOAT")] = None,
    encoder_init: Annotated[
        str | None, _option(DEFENSE, "cifar10's ER encoder: scratch or imagenet (548 MB) (default scratch).", "NAME")
    ] = None,
    adversarial_training: Annotated[
        bool,
        typer.Option("--adversarial-training", help="Watch the min-max trained classifier.", rich_help_panel=DETECTOR),
    ] = False,
    train_attack: Annotated[
        str | None, _option(DETECTOR, "What set I is attacked with: fgsm, pgd or cw (default fgsm).", "NAME")
    ] = None,
    counted: Annotated[
        str | None,
        _option(
            DETECTOR,
            "Adversarial images of set II that count: reached (the confidence) or all "
            "(default reached for a confidence above 0 under the sound protocol).",
            "NAME",
        ),
    ] = None,
    noise_l2: Annotated[
        str | None, _option(DETECTOR, "Mean L2 of the noisy images (default that of the adversarial ones).", "FLOAT")
    ] = None,
    bandwidth: Annotated[
        str | None, _option(DETECTOR, "kd, er*: of the kernel; auto by held-out likelihood (default auto).", "FLOAT")
    ] = None,
    neighbors: Annotated[str | None, _option(DETECTOR, "lid: k (default 20).", "INT")] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=PLACE, metavar="NAME")
    ] = "auto",
    data_dir: Annotated[
        Path, typer.Option(help="Where the datasets are.", rich_help_panel=PLACE, envvar="ERBENCH_DATA")
    ] = Path("data"),
    download: Annotated[
        bool, typer.Option("--download", help="Fetch a missing dataset.", rich_help_panel=PLACE)
    ] = False,
    results_dir: Annotated[
        Path,
        typer.Option(help="Where records and caches go.", rich_help_panel=PLACE, envvar="ERBENCH_RESULTS"),
    ] = Path("results"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.", rich_help_panel=PLACE)] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=PLACE)
    ] = False,
) -> None:
    """Attack a defense and judge it: one cell, or a grid when options are comma lists.

    Whatever was computed before is reused: the same command prints the same table in seconds, and a killed one
    goes on where it stopped.

    Example: bench run --defense er1 --attack cw --confidence 20
    """
    from bench.cli.progress_display import choose_progress
    from bench.cli.run_output import show_grid
    from bench.options import OPTIONS, parse_list
    from bench.sweep import plan, sweep
    from bench.workspace import Workspace, choose_device

    given = {name: value for name, value in ctx.params.items() if name in OPTIONS and value not in (None, False)}
    values = {
        name: [True] if value is True else parse_list(name, value)  # a flag has no list
        for name, value in given.items()
    }
    workspace = Workspace(
        results_dir=results_dir,
        data_dir=data_dir,
        download=download,
        device=choose_device(device),
        progress=choose_progress(quiet=quiet),
        command="bench " + " ".join(sys.argv[1:]),
    )
    cells = plan(values, workspace)
    raise typer.Exit(show_grid(sweep(cells, workspace), len(cells), results_dir, quiet=quiet))
