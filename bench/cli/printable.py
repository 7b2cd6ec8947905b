"""How sizes, ages and text from elsewhere are printed."""

UNITS = ("B", "kB", "MB", "GB", "TB")
AGES = (("d", 86400), ("h", 3600), ("min", 60))


def printable(text: str) -> str:
    """Text without what a terminal would obey; records come from anywhere."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def size_in_words(size: float) -> str:
    """Bytes: 1_300_000 -> "1.3 MB"."""
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def age_in_words(seconds: float) -> str:
    """Seconds: 7200 -> "2 h"."""
    for unit, length in AGES:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
