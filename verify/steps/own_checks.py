"""The checks of numbers that are a step's own, by its number; the others are `component`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verify.steps.over_http import check_server
from verify.steps.plain import PLAIN
from verify.steps.with_cache import check_cache

if TYPE_CHECKING:
    from collections.abc import Callable

OWN_CHECKS: dict[int, Callable[..., None]] = {**PLAIN, 13: check_server, 14: check_cache}
