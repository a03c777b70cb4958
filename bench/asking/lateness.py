"""How late the client itself is: a caller that cannot keep up measures itself.

Two things are measured while a level runs. Every `EVERY_S` the event loop is asked to wake up, and
how much later it does so is what a piece of an answer may have waited until its time was taken. And
of a request in an open loop, how much later than scheduled it was sent; its latency counts from the
scheduled time, so that this is in the latency, and not hidden by it.
"""

from __future__ import annotations

import asyncio
import resource
import time
from contextlib import suppress
from typing import Any

import numpy as np

EVERY_S = 0.005


class Probe:
    """Wakes up again and again; a context, in whose time `late_ns` grows.

    Attributes:
        late_ns: of each wake-up, how late it was.
    """

    def __init__(self) -> None:
        self.late_ns: list[int] = []
        self._cpu_s, self._began_ns = 0.0, 0

    async def __aenter__(self) -> Probe:
        self._cpu_s, self._began_ns = _cpu_s(), time.perf_counter_ns()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cpu_share = (_cpu_s() - self._cpu_s) / max(
            1e-9, (time.perf_counter_ns() - self._began_ns) / 1e9
        )
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            due_ns = time.perf_counter_ns() + int(EVERY_S * 1e9)
            await asyncio.sleep(EVERY_S)
            self.late_ns.append(max(0, time.perf_counter_ns() - due_ns))

    def figures(self, sent_late_ns: list[int]) -> dict[str, Any]:
        """For the record: milliseconds of both kinds together, and the share of a CPU.

        Args:
            sent_late_ns: of each request, how much later than scheduled it was sent.
        """
        late_ms = np.array([*self.late_ns, *sent_late_ns] or [0]) / 1e6
        found = {f"late_ms_p{p}": float(np.percentile(late_ms, p)) for p in (50, 99)}
        return {**found, "late_ms_max": float(late_ms.max()), "late_n": len(late_ms),
                "cpu_share": self.cpu_share}  # fmt: skip


def _cpu_s() -> float:
    """CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
