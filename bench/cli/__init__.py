"""The command line: the only place that parses arguments or prints."""

from bench.cli.app import main

__all__ = ["main"]
