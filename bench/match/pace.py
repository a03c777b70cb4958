"""How a budget is spent: on loading, then on quads; on fewer quads before fewer generations."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Pace:
    """How far one competition may go.

    What is left after a generation has loaded, less what the later ones will need to load, is
    shared out evenly. A generation plays one round at least, and one is begun only if it can do so
    in time; where no further one can, the last plays on until the end. The first always is begun:
    with too small a budget a run measures little, and never nothing.

    Attributes:
        processes: generations that are wanted.
        quads: rounds of each; None for as many as there is time for.
        end_s: the monotonic clock when the competition should be over; ignored with `quads`.
        load_s: about how long a further generation takes to load.
        round_s: about how long a round takes.
        start_s: when the competition began.
    """

    processes: int
    quads: int | None
    end_s: float
    load_s: float = 0.0
    round_s: float = 0.0
    start_s: float = field(default_factory=time.monotonic)
    _loads_s: list[float] = field(default_factory=list)

    def may_start(self, generation: int) -> bool:
        """Whether another generation can be loaded and play a round in time."""
        if self.quads or generation == 0:
            return True
        return time.monotonic() + self.load_s + self.round_s <= self.end_s

    def loaded(self, generation: int, seconds: float) -> None:
        """Note how long a generation took to load; the first, which is alone, is only a guess."""
        if generation == 1:
            self._loads_s.clear()
        self._loads_s.append(seconds)
        self.load_s = sum(self._loads_s) / len(self._loads_s)

    def rounds(self, generation: int) -> Iterator[int]:
        """Numbers of the rounds that this generation plays, from 0; ask when it has loaded."""
        if self.quads:
            yield from range(self.quads)
            return
        start_s, count = time.monotonic(), 0
        over_s = start_s + self._share_s(generation)
        while count == 0 or self._goes_on(generation, over_s):
            yield count
            count += 1
            self.round_s = (time.monotonic() - start_s) / count

    def _goes_on(self, generation: int, over_s: float) -> bool:
        """Whether another round fits in until `over_s`, or if no generation follows, the end."""
        if time.monotonic() + self.round_s <= over_s:
            return True
        return time.monotonic() + self.round_s <= self.end_s and not self.may_start(generation + 1)

    def left_s(self) -> float | None:
        """Until the end; None where rounds are counted."""
        return None if self.quads else max(0.0, self.end_s - time.monotonic())

    def _share_s(self, generation: int) -> float:
        """What this generation may play: as long as each later one for which there is time."""
        left_s = self.end_s - time.monotonic()
        each_s = self.load_s + self.round_s
        fit = int(max(0.0, left_s - self.round_s) / each_s) if each_s else self.processes
        later = min(self.processes - generation - 1, fit)
        return max(0.0, left_s - later * self.load_s) / (later + 1)
