"""Sphinx writes mathematics as MathML, made when the site is built: nothing is fetched or run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from sphinx.errors import SphinxError

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

UNKNOWN = re.compile(r">(\\[A-Za-z]+|&)<")
"""What latex2mathml does not know stands in its result as it was: a command, or a table's &."""

SAME = (("{aligned}", "{split}"),)
"""Environments that it knows under another name."""


class FormulaError(SphinxError):
    """A formula that cannot be written as MathML."""

    category = "Formula"


def mathml(formula: str, *, block: bool) -> str:
    """A formula in MathML.

    Args:
        formula: LaTeX, without dollars.
        block: whether it stands on lines of its own.

    Raises:
        FormulaError: names the formula, and the command where one is not known.
    """
    text = formula.strip()
    for name, known in SAME:
        text = text.replace(name, known)
    try:
        made = str(convert(text, display="block" if block else "inline"))
    except Exception as error:  # the library has many classes of errors, and none for all
        raise FormulaError(f"{text!r} is not LaTeX that can be drawn: {error}") from None
    if unknown := UNKNOWN.search(made):
        raise FormulaError(f"{unknown[1]} is not known, in {text!r}")
    return made


def _inline(writer: HTML5Translator, node: Element) -> None:
    writer.body.append(mathml(node.astext(), block=False))
    raise SkipNode


def _block(writer: HTML5Translator, node: Element) -> None:
    drawn = mathml(node.astext(), block=True)
    writer.body.append(f'<div class="formula">{drawn}</div>\n')
    raise SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the renderer known to Sphinx, as `mathml`."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
