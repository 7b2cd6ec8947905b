"""The `bench` program: its commands, and how errors become one line and an exit code.

Nothing heavy is imported here, so that `bench --help` answers at once.
"""

import logging
import signal
import sys

import typer

from bench.cli.list_command import list_command
from bench.cli.run_command import run_command
from bench.cli.table_command import table_command

EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="bench",
    help="ERBench: does a defense against adversarial examples, or a detector of them, really work?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run_command)
app.command("list")(list_command)
app.command("table")(table_command)


def main() -> None:
    """Run the program; every error raised on purpose ends in one line, its own exit code and no traceback."""
    from attacks.errors import ErbenchError

    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, stream=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    debug = "--debug" in sys.argv
    try:
        app()
    except ErbenchError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("\ninterrupted; what is finished is kept, the same command goes on from there", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
