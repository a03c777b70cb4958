"""Modules of MAX under the names that they had: what to write today.

Books, posts and their copies keep the names of the MAX that they were written with.
"""

from __future__ import annotations

import re
from importlib.metadata import version

RENAMED = {
    "max.nn.module_v3": "max.experimental.nn",
    "max.tensor": "max.experimental.tensor",
    "max.functional": "max.experimental.functional",
    "max.random": "max.experimental.random",
}
"""By the name that a module of MAX had, the one that it has in MAX 26."""

MISSING_NAME = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")


def what_to_write(error: BaseException) -> str:
    """What stands today for a module of MAX that cannot be imported; "" where nothing is known.

    Args:
        error: what the import raised.
    """
    if not isinstance(error, ImportError):
        return ""
    missing = MISSING_NAME.search(str(error))
    asked = f"{missing[2]}.{missing[1]}" if missing else error.name or ""
    for old, new in RENAMED.items():
        if asked == old or asked.startswith(f"{old}."):
            return f"{old} is {new} in MAX {version('max')}"
    return ""
