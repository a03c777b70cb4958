"""How near a time is to what the machine allows.

    MFU = needed FLOPs / (time x arithmetic rate)
    HFU = executed FLOPs / (time x arithmetic rate)
    MBU = needed bytes / (time x read bandwidth)
    roofline = max(needed FLOPs / arithmetic rate, needed bytes / read bandwidth) / time

Rates are the best blocks measured in the same run; the arithmetic rate is that of multiply-adds
from registers in the arm's class (on a CPU), or of the best product. More than 100% cannot be:
either the model of the work is wrong, or the ceiling, and the row that shows it has no speed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from bench.workload.work import Work


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Fractions of the ceilings; None where a ceiling was not measured.

    Attributes:
        mfu: of the arithmetic rate, by needed FLOPs.
        hfu: of the arithmetic rate, by executed FLOPs.
        mbu: of the read bandwidth, by needed bytes.
        roofline_pct: the least time over the time taken, in percent.
        bound: the ceiling that makes up the least time.
    """

    mfu: float | None = None
    hfu: float | None = None
    mbu: float | None = None
    roofline_pct: float | None = None
    bound: Literal["compute", "memory"] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The figures as a row holds them."""
        return asdict(self)

    @property
    def problem(self) -> str:
        """What is above 100%, or nothing."""
        for name in ("mfu", "hfu", "mbu"):
            value = getattr(self, name)
            if value is not None and value > 1:
                return (
                    f"{name.upper()} is {value:.0%} of the measured ceiling: the ceiling or the "
                    "model of the work is wrong"
                )
        return ""


def utilisation(
    needed: Work, seconds: float, arithmetic: float | None, bandwidth: float | None
) -> Utilisation:
    """How far the ceilings were used.

    Args:
        needed: the work of one call.
        seconds: that it took.
        arithmetic: FLOPs a second.
        bandwidth: bytes a second.
    """
    if arithmetic is None or bandwidth is None:
        return Utilisation()
    compute_s, memory_s = least_times(needed, arithmetic, bandwidth)
    return Utilisation(
        mfu=compute_s / seconds,
        hfu=needed.flops_executed / arithmetic / seconds,
        mbu=memory_s / seconds,
        roofline_pct=100 * max(compute_s, memory_s) / seconds,
        bound="compute" if compute_s > memory_s else "memory",
    )


def least_times(needed: Work, arithmetic: float, bandwidth: float) -> tuple[float, float]:
    """The least times that products and reading allow, in seconds."""
    return needed.flops / arithmetic, needed.bytes / bandwidth
