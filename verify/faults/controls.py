"""Controls: results that the rule must reject, and results that it must accept.

They are judged exactly as a candidate's results are, at every place where something is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from verify.judge.acceptance import RMS_FACTOR, judge
from verify.judge.metrics import rms, ulp_at
from verify.judge.rounding import to_bf16, to_fp8, to_tf32
from verify.judge.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reference.trace import Array
    from verify.truth.expectation import Expectation


def _constant(x: Array) -> Array:
    return np.full_like(x, x.mean())


def _shuffled(x: Array) -> Array:
    return np.roll(x, 1, axis=1)


def _transposed(x: Array) -> Array:
    return np.ascontiguousarray(x.swapaxes(-1, -2)).reshape(x.shape)


def _stale(x: Array) -> Array:
    """Another row's result, as a buffer that was not written again holds it."""
    return np.ascontiguousarray(x[::-1])


MUST_FAIL: dict[str, Callable[[Array], Array]] = {
    "zeros": np.zeros_like,
    "constant": _constant,
    "shuffled tokens": _shuffled,
    "transposed": _transposed,
    "stale buffer": _stale,
}
"""Ways to spoil PyTorch's own result."""


def to_float32(x: Array) -> Array:
    """Rounded to float32, and held as it was."""
    return x.astype(np.float32).astype(x.dtype)


LOWER: dict[str, dict[str, Callable[[Array], Array]]] = {
    "float64": {"rounded to float32": to_float32},
    "float32": {"rounded to TF32": to_tf32, "rounded to bfloat16": to_bf16},
    "tf32": {"rounded to float8": to_fp8},
    "float16": {"rounded to bfloat16": to_bf16, "rounded to float8": to_fp8},
    "bfloat16": {"rounded to float8": to_fp8},
}
"""For each precision, lower ones that a result may not have been rounded to. Where products may use
TF32, cutting off their factors moves a result as far as rounding it to bfloat16 does."""


def must_fail(expected: Expectation) -> Iterator[Check]:
    """One check for each control: UNDERPOWERED where the rule accepts it at any computed place."""
    results = {tap: expected.correct[tap] for tap in computed(expected)}
    lower = LOWER[expected.arithmetic]
    for name, spoil in (MUST_FAIL | lower).items():
        below = _below(spoil, results, expected) if name in lower else []
        missed = [
            tap
            for tap, result in results.items()
            if _accepted(spoil(result), tap, expected)
            and not np.array_equal(spoil(result), result)
            and (tap not in below or len(below) == len(results))
        ]
        yield Check(
            case=f"{expected.case.name}-{name.replace(' ', '-')}",
            mode="control",
            tap=missed[0] if missed else "",
            verdict="UNDERPOWERED" if missed else "PASS",
            message=f"{name} would pass at {', '.join(missed[:3])}" if missed else "",
            details={"places": len(results), "missed": len(missed), "below": len(below)},
        )


@dataclass(slots=True)
class LowerPrecisions:
    """Results rounded to a lower precision, over all cases of a run.

    Where a softmax nearly ties, a lower precision may be as good as the declared one: one case
    cannot tell it there. Some case of the run has to, or the run would not notice it at all.

    Attributes:
        seen: for each lower precision and place, whether any case rejected it.
    """

    seen: dict[str, dict[str, bool]] = field(default_factory=dict)

    def look(self, expected: Expectation) -> None:
        """Round PyTorch's own results at every place where no case has rejected that yet."""
        for name, spoil in LOWER[expected.arithmetic].items():
            rejected = self.seen.setdefault(name, {})
            for tap in computed(expected):
                if not rejected.get(tap):
                    result = spoil(expected.correct[tap])
                    rejected[tap] = not _accepted(result, tap, expected)

    def checks(self) -> Iterator[Check]:
        """One check for each lower precision: UNDERPOWERED where every case accepts it."""
        for name, rejected in self.seen.items():
            missed = [tap for tap, found in rejected.items() if not found]
            message = f"{name} would pass at {', '.join(missed[:3])} in every case"
            yield Check(
                case=name.replace(" ", "-"),
                mode="control",
                tap=missed[0] if missed else "",
                verdict="UNDERPOWERED" if missed else "PASS",
                message=message if missed else "",
                details={"places": len(rejected), "missed": len(missed)},
            )


def _below(
    spoil: Callable[[Array], Array], results: Mapping[str, Array], expected: Expectation
) -> list[str]:
    """Places where a lower precision changes no more than the rule lets a correct result stray.

    There it is as good as the declared one: a near-tie of a softmax on scores of 8 bits, say, or a
    bias that cancels most of a product. `LowerPrecisions` asks that another case tells it.
    """
    found = []
    with np.errstate(invalid="ignore"):
        for tap, result in results.items():
            changed = rms(spoil(result).astype(np.float64) - result.astype(np.float64))
            least = ulp_at(rms(expected.isolated[tap]), expected.dtype) / 2
            if changed <= RMS_FACTOR * expected.isolated_envelope[tap].rms + least:
                found.append(tap)
    return found


def computed(expected: Expectation) -> list[str]:
    """The places at which a case computes something, rather than passing it on."""
    return [tap for tap, envelope in expected.isolated_envelope.items() if envelope.rms > 0]


def _accepted(result: Array, tap: str, expected: Expectation) -> bool:
    standard = expected.at(tap, alone=True)
    judgement = judge(result, standard.truth, standard.envelope, expected.dtype)
    return judgement.verdict == "PASS"
