"""Text and templates for LaTeX."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    **{sign: f"\\{sign}" for sign in "%&_#"},
    "Δ": r"$\Delta$",
    "Σ": r"$\Sigma$",
    "β": r"$\beta$",
    "ε": r"$\varepsilon$",
    "η": r"$\eta$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "π": r"$\pi$",
    "σ": r"$\sigma$",
    "₁": r"$_1$",
    "²": r"$^2$",
    "⁻": r"$^-$",
    "−": r"$-$",
    "–": "--",
    "—": "---",
    "×": r"$\times$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "▲": r"$\uparrow$",
    "▼": r"$\downarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "√": r"$\surd$",
    "∞": r"$\infty$",
    "°": r"$^\circ$",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\dots{}",
}


def escape(text: str) -> str:
    """Text as LaTeX shows it; every sign that our tables use is known to any engine."""
    return "".join(_SPECIAL.get(character, character) for character in text)


@cache
def environment() -> "Environment":
    """Jinja's environment of our LaTeX templates: <% statements %>, << expressions >>, nothing escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # late: most tables are not LaTeX

    return Environment(
        loader=PackageLoader("bench"),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        autoescape=False,  # the output is LaTeX, escaped by `escape`
    )
