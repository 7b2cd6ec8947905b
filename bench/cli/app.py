"""The `bench` program: its commands, and how errors become one line and an exit code.

Nothing heavy is imported here, so that `bench --help` answers at once.
"""

import logging
import os
import sys

import typer

from bench.cli.check_command import check_command
from bench.cli.crosscheck_command import crosscheck_command
from bench.cli.doctor_command import doctor_command
from bench.cli.interruption import EXIT_INTERRUPTED, interruptible
from bench.cli.list_command import list_command
from bench.cli.paper_command import paper_command
from bench.cli.plot_command import plot_command
from bench.cli.run_command import run_command
from bench.cli.store_command import store_app
from bench.cli.table_command import table_command
from bench.cli.verify_command import verify_command

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # UsageError, which typer does not export

app = typer.Typer(
    name="bench",
    help="ERBench: does a defense against adversarial examples, or a detector of them, really work?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run_command)
app.command("crosscheck")(crosscheck_command)
app.command("check")(check_command)
app.command("doctor")(doctor_command)
app.command("list")(list_command)
app.command("paper")(paper_command)
app.command("plot")(plot_command)
app.command("table")(table_command)
app.command("verify")(verify_command)
app.add_typer(store_app, name="store")


def main() -> None:
    """Run the program; every error raised on purpose ends in one line, its own exit code and no traceback."""
    # Idle OpenMP threads otherwise spin for long: beside another busy process that slows training down threefold.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("erbench.claims").setLevel(logging.INFO)  # for whom a command waits
    with interruptible():
        code = _exit_code()
    sys.exit(code)


def _exit_code() -> int:
    from attacks.errors import ErbenchError

    debug = "--debug" in sys.argv
    try:
        return int(app(standalone_mode=False) or 0)
    except ErbenchError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except USAGE_ERROR as error:  # an option or a command that does not exist
        if message := error.format_message():  # type: ignore[attr-defined]  # empty where help was shown
            print(f"error: {message}", file=sys.stderr)
        return 2
    except typer.Abort:  # a question was left unanswered
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output, `head` for instance, has seen enough
        sys.stderr.close()
        return 0
