"""Marks on numbers that do not stand alone: those that a sanity flag of their record makes doubtful."""

from bench.record import Record

MARK = " (!)"


def mark(record: Record, metric: str) -> str:
    """What a number ends in where a flag spoils it; empty elsewhere."""
    return MARK if any(metric in flag["spoils"] for flag in record.flags) else ""


def flag_names(record: Record) -> str:
    """All flags of a record, for a cell of a table: "eight-bit, random-outputs"; empty where there is none."""
    return ", ".join(flag["name"] for flag in record.flags)
