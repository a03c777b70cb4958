"""Who was compared with this project's own arm, and what each pair's ratio says.

The own arm is `max`; where it took no part, the baseline. Ratios are read from `pair` records, each
estimated from its own quads. Older runs have none: there the baseline's ratio to MAX is the
reciprocal of an `effect`, and other arms have no ratio to MAX.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from reports.tables.classes import class_of
from reports.tables.numbers import brief, figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Record = Mapping[str, Any]
    Place = tuple[Any, Any, Any]

Says = Literal["faster", "slower", "same", "open", "none"]
"""What a ratio says of the own arm; `none`: there is no ratio."""

OWN = "max"
MARGIN = 1.01

NAMES = {
    "max": "MAX", "max-bf16": "MAX in bfloat16", "max-int8": "MAX with int8 weights",
    "max-bf16-products": "MAX with products in bfloat16",
    "max-bf16-cache": "MAX with products and a cache in bfloat16",
    "max-stock": "MAX's stock operations", "max-readable": "MAX without a KV cache",
    "candidate": "the candidate", "torch": "PyTorch", "torch-bf16": "PyTorch in bfloat16",
    "torch-compile": "torch.compile", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO",
    "openvino-bf16": "OpenVINO in bfloat16", "openvino-int8": "OpenVINO in 8 bits",
    "ctranslate2": "CTranslate2", "ctranslate2-int8": "CTranslate2 in 8 bits",
    "llama.cpp-bf16": "llama.cpp in bfloat16", "llama.cpp-q8_0": "llama.cpp in Q8_0",
}  # fmt: skip
"""What sentences call an arm; any other is called by its label."""

_SAYS: dict[str, Says] = {
    "FASTER": "slower", "SLOWER": "faster", "SAME": "same", "INCONCLUSIVE": "open",
}  # fmt: skip
"""From what is said of the other arm to what that says of the own one."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm and workload beside the own arm.

    Attributes:
        says: of the own arm.
        ratio: time of the arm over the own arm's; above 1 the own arm is faster.
        low, high: its 95% interval; None with fewer than three processes.
        status: of the arm's row; of the own arm's where that one is not VALID.
        margin: the largest ratio that does not matter.
        reason: why there is no ratio, or no verdict.
    """

    says: Says
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    status: str = ""
    margin: float = MARGIN
    reason: str = ""

    @property
    def inverse(self) -> Cell:
        """The own arm's time over the other's."""
        ratio = 1 / self.ratio if self.ratio else None
        low = 1 / self.high if self.high else None
        high = 1 / self.low if self.low else None
        return Cell(self.says, ratio, low, high, self.status, self.margin, self.reason)

    @property
    def text(self) -> str:
        """`1.31 [1.20, 1.44]`; what the row is where there is no ratio."""
        if self.ratio is None:
            return self.status or "-"
        if self.low is None or self.high is None:
            return brief(self.ratio)
        return f"{brief(self.ratio)} [{brief(self.low)}, {brief(self.high)}]"


@dataclass(frozen=True, slots=True)
class Standing:
    """The arms of one competition beside the own arm.

    Attributes:
        place: model, device and threads.
        own: the label of the own arm.
        rows: of the own arm, by workload; a workload's sizes are read from them.
        arms: the others.
        cells: by arm and workload.
        main: whether the own arm is that of the whole run, not of another class.
        classes: of every arm.
    """

    place: Place
    own: str
    rows: dict[str, Record]
    arms: list[str]
    cells: dict[tuple[str, str], Cell]
    main: bool = True
    classes: dict[str, str] = field(default_factory=dict)

    @property
    def workloads(self) -> list[str]:
        """In the order in which they were timed."""
        return list(self.rows)

    @property
    def rivals(self) -> list[str]:
        """Who the own arm is measured by: what is not MAX and as exact.

        Where there is none, what is not MAX and no other arm of MAX's is measured by; MAX's other
        arms where all are.
        """
        others = [arm for arm in self.arms if not is_max(arm)]
        mine = self.classes.get(self.own)
        alike = [arm for arm in others if self.classes.get(arm) == mine]
        taken = {self.classes.get(arm) for arm in self.arms if is_max(arm)}
        return alike or [arm for arm in others if self.classes.get(arm) not in taken] or self.arms

    @property
    def strangers(self) -> list[str]:
        """What is neither MAX nor as exact, where no arm of MAX's in its class took part."""
        taken = {self.classes.get(arm) for arm in (self.own, *self.arms) if is_max(arm)}
        others = (arm for arm in self.arms if not is_max(arm) and arm not in self.rivals)
        return [arm for arm in others if self.classes.get(arm) not in taken]


def name_of(arm: str) -> str:
    """What a sentence calls an arm."""
    return NAMES.get(arm, arm)


def strength(cell: Cell) -> float:
    """How far a ratio is from 1, for a colour: 0 at 1, 1 from a factor of 2 on."""
    return round(min(1.0, abs(math.log2(cell.ratio))), 3) if cell.ratio else 0.0


def word(cell: Cell, own: str) -> str:
    """What a ratio says of the own arm, in a word or two."""
    name = name_of(own)
    words = {"faster": f"{name} faster", "slower": f"{name} slower", "same": "the same"}
    return words.get(cell.says, "not conclusive")


def said(cell: Cell, arm: str, own: str, workload: str) -> str:
    """What is shown when a cell is pointed at."""
    name, mine = name_of(arm), name_of(own)
    if cell.ratio is None:
        return f"{workload}, {name}: {cell.reason or cell.status or 'no ratio'}"
    text = f"{workload}: {name} takes {cell.text} times as long as {mine} ({word(cell, own)})"
    return f"{text}\n{cell.reason}" if cell.reason else text


def is_max(arm: str) -> bool:
    """Whether an arm runs a model in MAX."""
    return arm in ("max", "candidate") or arm.startswith("max-")


def standings(records: Iterable[Record]) -> list[Standing]:
    """One for each model, device and number of threads, and each arm that others are compared with.

    Args:
        records: of a benchmark, in any order.
    """
    found = list(records)
    rows = [r for r in found if r.get("record") == "row" and r.get("workload") and _first(r)]
    ratios = _ratios(found)
    made: list[Standing] = []
    for place in dict.fromkeys(map(_place, rows)):
        here = [row for row in rows if _place(row) == place]
        for number, own in enumerate(_owns(here, ratios)):
            made.append(_standing(place, own, here, ratios, main=number == 0))
    return made


def _standing(
    place: Place, own: str, rows: Sequence[Record], ratios: Sequence[Record], *, main: bool
) -> Standing:
    here = {
        (ratio.get("workload"), ratio.get("arm")): ratio
        for ratio in ratios
        if _place(ratio) == place and ratio.get("versus") == own
    }
    classes = {str(row["arm"]): class_of(str(row.get("dtype") or "")) for row in rows}
    arms = [arm for arm in classes if arm != own]
    if not main:
        arms = [arm for arm in arms if not is_max(arm) and classes[arm] == classes[own]]
    mine = {str(row["workload"]): row for row in rows if row["arm"] == own}
    cells = {
        (arm, workload): _cell(row, mine[workload], here)
        for arm in arms
        for row in rows
        if row["arm"] == arm and (workload := str(row["workload"])) in mine
    }
    return Standing(place, own, mine, arms, cells, main, classes)


def _cell(row: Record, own: Record, ratios: Mapping[tuple[Any, Any], Record]) -> Cell:
    for one in (row, own):
        if one.get("status") != "VALID":
            reasons = "; ".join(map(str, one.get("invalid_reasons") or ()))
            whose = "" if one is row else f"{name_of(str(one['arm']))}: "
            return Cell("none", status=str(one.get("status") or "-"), reason=f"{whose}{reasons}")
    ratio = ratios.get((row["workload"], row["arm"]))
    if ratio is None or not figure(ratio.get("ratio")):
        return Cell("none", reason="these records have no ratio of this pair")
    return cell_of(ratio)


def cell_of(ratio: Record) -> Cell:
    """What a recorded ratio says of the arm that it is taken to."""
    value, low, high = (figure(ratio.get(key)) for key in ("ratio", "ci_lo", "ci_hi"))
    says = _SAYS.get(str(ratio.get("verdict")), "open")
    margin = figure(ratio.get("margin")) or MARGIN
    return Cell(says, value, low, high, "VALID", margin, str(ratio.get("why") or ""))


def _owns(rows: Sequence[Record], ratios: Sequence[Record]) -> list[str]:
    """The own arm, then MAX's arms of other classes that somebody else took part in."""
    place = _place(rows[0])
    classes = {str(row["arm"]): class_of(str(row.get("dtype") or "")) for row in rows}
    versus = [str(r.get("versus")) for r in ratios if _place(r) == place]
    main = OWN if OWN in classes else next((own for own in versus if own in classes), "")
    main = main or next(iter(classes))
    others = {kind for arm, kind in classes.items() if not is_max(arm)} - {classes[main]}
    return [main, *(arm for arm, kind in classes.items() if is_max(arm) and kind in others)]


def _ratios(records: Sequence[Record]) -> list[Record]:
    """Pairs; in older records effects, of which those of `max` are turned round too."""
    if pairs := [r for r in records if r.get("record") == "pair"]:
        return pairs
    effects = [r for r in records if r.get("record") == "effect" and _first(r)]
    return [*(_turned(e) for e in effects if e.get("arm") == OWN), *effects]


def _turned(effect: Record) -> Record:
    """The reciprocal of a ratio, which has the reciprocal interval."""
    value, low, high = (figure(effect.get(key)) for key in ("ratio", "ci_lo", "ci_hi"))
    verdict = str(effect.get("verdict"))
    return {
        **effect, "arm": effect.get("versus"), "versus": effect.get("arm"),
        "ratio": 1 / value if value else None, "ci_lo": 1 / high if high else None,
        "ci_hi": 1 / low if low else None,
        "verdict": {"FASTER": "SLOWER", "SLOWER": "FASTER"}.get(verdict, verdict),
    }  # fmt: skip


def _place(record: Record) -> Place:
    return record.get("model"), record.get("device"), record.get("threads")


def _first(record: Record) -> bool:
    """Whether it is not of an arm's second runner, which is the null's."""
    return bool(record.get("arm")) and "#" not in str(record["arm"])
