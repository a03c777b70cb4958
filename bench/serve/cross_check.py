"""The same load by `max benchmark` of the wheel: both figures, and how far they are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.serve.known import Known
    from bench.serve.load_plan import LoadPlan


def cross_check(
    plan: LoadPlan, known: Known, emit: Callable[[dict[str, Any]], None],
    say: Callable[[str], None], logs: Path,
) -> None:  # fmt: skip
    """Not yet."""
