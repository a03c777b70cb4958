"""Names of taps, read in one place."""

from __future__ import annotations

import re

LOGITS = "lm_head"


def layer_of(tap: str) -> int | None:
    """The number of the block that a tap lies in."""
    found = re.search(r"\.h\.(\d+)", tap)
    return int(found[1]) if found else None
