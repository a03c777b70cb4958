"""What a learner's file defines, read without running it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def defined_in(file: Path) -> list[str]:
    """Names of the classes and functions that a file defines; none where it is not Python.

    Args:
        file: the learner's.
    """
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return []
    return [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
