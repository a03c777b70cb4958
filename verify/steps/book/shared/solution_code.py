"""The code of a lesson's solution in a chapter: read from the lesson, so that it cannot drift."""

from __future__ import annotations

import ast
import re
from textwrap import dedent

from verify.steps.lessons import lesson


def code_of(number: int, name: str = "") -> str:
    """What a step's solution defines.

    Args:
        number: of the step.
        name: of a method of its class alone; all of it unless given.

    Raises:
        LookupError: where the solution defines no such thing.
    """
    text = lesson(number).solution
    wanted = [lesson(number).step.name, *([name] if name else [])]
    node: ast.AST = ast.parse(text)
    for one in wanted:
        found = [n for n in ast.iter_child_nodes(node) if getattr(n, "name", "") == one]
        if not found:
            raise LookupError(f"the solution of step {number} defines no {'.'.join(wanted)}")
        node = found[0]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    return dedent(re.sub(r"\n\n+(?= +#)", "\n", lines))  # tasks of one function close up


def show_code(number: int, name: str = "") -> None:
    """Print it; in a notebook or a page, in colours.

    Args:
        number: of the step.
        name: of a method of its class alone; all of it unless given.
    """
    code = code_of(number, name)
    try:
        from IPython import get_ipython
        from IPython.display import Markdown, display
    except ImportError:
        print(code)
        return
    if get_ipython() is None:
        print(code)
    else:
        display(Markdown(f"```python\n{code}\n```"))
