"""One part of a load: so many requests at a time, or so many a second, for so long."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from reports.tables.load_markdown import load_name

if TYPE_CHECKING:
    from collections.abc import Mapping

Loop = Literal["closed", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How much is asked, and how.

    Attributes:
        loop: `closed`: so many callers, each of which asks again as soon as it has its answer;
            `open`: requests arrive as they please (Poisson), whatever the server has answered.
        load: callers, or requests a second.
        warm_s: seconds at the beginning that count for nothing.
        seconds: that count.
        drain_s: how long answers are waited for after that.
        round: which time this is done to the same server.
        seed: draws arrivals, and where in the list of prompts it begins.
    """

    loop: Loop
    load: float
    warm_s: float
    seconds: float
    drain_s: float = 30.0
    round: int = 0
    seed: int = 0

    @property
    def name(self) -> str:
        """`4 at a time`, `12.5/s`."""
        return level_name(self.loop, self.load)

    @property
    def most_in_flight(self) -> int:
        """More requests than this are never open at once."""
        whole_s = self.warm_s + self.seconds
        return round(self.load if self.loop == "closed" else 2 * self.load * whole_s + 64)

    def as_dict(self) -> dict[str, Any]:
        """For the client's process."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Level:
        """The reverse."""
        return cls(**values)

    def arrivals(self) -> list[float]:
        """Seconds after the beginning at which requests arrive, of an open loop.

        The number in an interval is Poisson: gaps between arrivals are exponential.
        """
        whole_s = self.warm_s + self.seconds
        rng = np.random.default_rng([self.seed, self.round])
        count = int(self.load * whole_s + 10 * (self.load * whole_s) ** 0.5 + 10)
        times = np.cumsum(rng.exponential(1 / self.load, count))
        return [float(time) for time in times[times < whole_s]]


def level_name(loop: Any, load: Any) -> str:
    """A level in the words that tables show."""
    return load_name({"loop": loop, "load": load})
