"""Where a run's time goes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Account = Literal["loading", "timing", "judging", "ceilings"]
ACCOUNTS: tuple[Account, ...] = ("loading", "timing", "judging", "ceilings")
"""Loading: from a worker's start to its first call's end; timing: turns, whose arms are timed;
judging: the referee; ceilings: what the machine can do at most. The rest is the harness's own."""


@dataclass(slots=True)
class Ledger:
    """Wall seconds by account, since `start_s` of the monotonic clock."""

    start_s: float = field(default_factory=time.monotonic)
    spent_s: dict[Account, float] = field(default_factory=lambda: dict.fromkeys(ACCOUNTS, 0.0))

    @contextmanager
    def spend(self, account: Account) -> Iterator[None]:
        """What happens in this context belongs to that account."""
        start_s = time.monotonic()
        try:
            yield
        finally:
            self.spent_s[account] += time.monotonic() - start_s

    def shares(self) -> dict[str, float]:
        """Seconds of each account, of the rest, and in all: `loading_s`, ..., `wall_s`."""
        wall_s = time.monotonic() - self.start_s
        spent = {f"{account}_s": seconds for account, seconds in self.spent_s.items()}
        return {**spent, "rest_s": max(0.0, wall_s - sum(spent.values())), "wall_s": wall_s}
