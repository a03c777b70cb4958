"""What a person sees while it runs: who is where, the ratios so far, and how long it goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group as Stack
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.arms.specs import baseline_of
from bench.judge.estimate import estimate
from bench.judge.statistics import turns
from reports.tables.numbers import brief, clock
from reports.waiting import EVERY_S as LINE_S

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import Console, RenderableType

    from bench.match.contestant import Contestant
    from bench.match.group import Group
    from bench.match.turns import Progress

EVERY_S = 0.5


class LiveView:
    """A context manager; call it with every `Progress`.

    It draws only when it is called, which is between turns: a thread that draws by itself would
    disturb who is being timed. Without a terminal it prints a line every half minute.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn_s = self._start_s = time.monotonic()
        self.group: Group | None = None

    def __enter__(self) -> Self:
        """Begin to draw, on a terminal."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Take the display away."""
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show where the run is."""
        now_s = time.monotonic()
        if not self._console.is_terminal:
            if now_s - self._drawn_s >= LINE_S:
                self._drawn_s = now_s
                self._console.print(self._line(progress), markup=False, highlight=False)
            return
        if progress.done is None or now_s - self._drawn_s > EVERY_S:
            self._live.update(self._picture(progress), refresh=True)
            self._drawn_s = now_s

    def _line(self, progress: Progress) -> str:
        text = f"{progress.text}, {clock(time.monotonic() - self._start_s)} so far"
        return text if progress.left_s is None else f"{text}, {clock(progress.left_s)} left"

    def _picture(self, progress: Progress) -> RenderableType:
        parts: list[RenderableType] = [Text(self._line(progress))]
        if progress.done is not None:
            parts.append(ProgressBar(total=1.0, completed=min(1.0, progress.done), width=60))
        if self.group is not None and any(c.samples for c in self.group.contestants):
            parts.append(_ratios(self.group))
        return Stack(*parts)


def _ratios(group: Group) -> Table:
    """For each arm: its last block, and for each workload its ratio so far."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    names = [workload.name for workload in group.plan.workloads]
    for column in ("arm", "calls", *names):
        table.add_column(column, justify="left" if column == "arm" else "right")
    labels = [contestant.label for contestant in group.contestants]
    versus = baseline_of(labels, group.plan.baseline)
    base = next(c for c in group.contestants if c.label == versus)
    for contestant in group.contestants:
        count = max(map(len, contestant.samples.values()), default=0)
        cells = [_ratio(contestant, base, name) for name in names]
        table.add_row(contestant.label, str(count), *cells)
    return table


def _ratio(contestant: Contestant, base: Contestant, workload: str) -> str:
    if contestant.out:
        return "ERROR" if contestant.error else "SKIP"
    if contestant is base:
        return "1"
    times, versus = (
        turns(one.samples.get(workload, []), call="fastest") for one in (contestant, base)
    )
    found = estimate(times, versus)
    if found is None:
        return "-"
    interval = "" if found.low is None else f" [{brief(found.low)}, {brief(found.high)}]"
    return f"{brief(found.value)}{interval}"
