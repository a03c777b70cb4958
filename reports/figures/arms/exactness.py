"""How exact each arm is, beside how fast and how large: one bubble for each arm and dtype."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reports.figures import chart
from reports.figures.parity import Variant
from reports.figures.speed import Record, arms_of, legend_of, positive, series
from reports.tables.numbers import figure, scientific, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.saved.records import Run

EXACTNESS_AID = (
    "Down and to the right is better. Height: the largest difference of a logit to PyTorch in "
    "float32, of all judged outputs. The area of a bubble is the weights' memory, as the arm holds "
    "them; hollow where it does not say. On the lowest line nothing differs at all, as for PyTorch "
    "itself, which is what is compared with."
)
RELATIVE_AID = (
    "Down and to the right is better. Height: the largest difference of a logit to PyTorch in "
    "float32 with the weights as they are, over the largest logit, of one forward pass. The area "
    "of a bubble is the weights' memory, as the arm holds them; hollow where it does not say. On "
    "the lowest line nothing differs at all, as for PyTorch itself, which is what is compared with."
)
TOKENS_AID = (
    " No forward pass was timed, so the height is how far the logit of a chosen token is below the "
    "best one; on the lowest line every choice is PyTorch's."
)
HEIGHT = 320
LARGEST, SMALLEST = 24.0, 5.0
"""Radius of the largest bubble, and the least, in pixels."""
LETTER = 6.6
"""Width of a letter in pixels, by which labels are kept apart."""

Box = tuple[float, float, float, float]


def exactness(run: Run) -> list[Variant]:
    """Error by speed, one figure for each workload of each competition."""
    rows = [r for r in run.of("row") if r.get("status") == "VALID" and positive(r.get("tok_s"))]
    rows = [row for row in rows if "#" not in str(row.get("arm"))]
    relative = bool(rows) and all(figure(row.get("error_relative")) is not None for row in rows)
    errors = _relative(rows) if relative else _errors(run)
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for row in rows:
        if _key(row) in errors:
            groups.setdefault((*_place(row), row.get("workload")), []).append(row)
    several = len({key[:3] for key in groups}) > 1
    return [
        Variant(
            _name(key, several),
            _figure(found, errors, arms_of(run), f"exactness-{number}", relative=relative),
        )
        for number, (key, found) in enumerate(groups.items())
    ]


def _relative(rows: Sequence[Record]) -> dict[tuple[Any, ...], tuple[float, bool]]:
    """By arm of a competition its error over the largest logit, on the weights as they are."""
    return {_key(row): (figure(row.get("error_relative")) or 0.0, False) for row in rows}


def _errors(run: Run) -> dict[tuple[Any, ...], tuple[float, bool]]:
    """By arm of a competition its largest error, and whether that is of tokens alone.

    Rows have it; those of older runs have it in their agreements.
    """
    decode = {row.get("workload"): bool(row.get("n_gen")) for row in run.of("row")}
    seen = [(r, r.get("error_logits")) for r in run.of("row")]
    if all(value is None for _, value in seen):
        seen = [(r, r.get("difference")) for r in run.of("agreement")]
    found: dict[tuple[Any, ...], dict[bool, float]] = {}
    for record, value in seen:
        number = figure(value)
        if number is not None and math.isfinite(number):
            kinds = found.setdefault(_key(record), {})
            tokens = decode.get(record.get("workload"), False)
            kinds[tokens] = max(number, kinds.get(tokens, 0.0))
    return {key: (kinds[min(kinds)], min(kinds)) for key, kinds in found.items()}


def _figure(
    rows: Sequence[Record], errors: dict[tuple[Any, ...], tuple[float, bool]],
    arms: Sequence[str], name: str, *, relative: bool,
) -> chart.Chart:  # fmt: skip
    x_span, (bottom, top) = chart.spans(chart.WIDE, HEIGHT)
    found = [errors[_key(row)] for row in rows]
    speeds = [figure(row.get("tok_s")) or 0.0 for row in rows]
    x = _roomy(speeds, x_span)
    y = chart.logarithmic([error for error, _ in found], (bottom - 40, top + 10))
    floor = bottom - 14
    marks: list[chart.Mark] = [chart.segment(x_span[0], floor, x_span[1], floor, "rule")]
    bubbles, labels = [], []
    most = max((figure(row.get("weight_bytes")) or 0.0 for row in rows), default=0.0)
    drawn = sorted(zip(rows, speeds, found, strict=True), key=lambda one: -_radius(one[0], most))
    spots = [
        ((x(speed), y(error) if error > 0 else floor), _radius(row, most))
        for row, speed, (error, _) in drawn
    ]
    taken = [_around(*spot) for spot in spots]
    for (row, _, (error, _)), (at, radius) in zip(drawn, spots, strict=True):
        tip = _tip(row, error, relative=relative)
        bubbles.append(_bubble(row, at, radius, series(arms, row.get("arm")), tip))
        labels.append(_label(at, radius, _words(row), taken))
    aid = RELATIVE_AID if relative else EXACTNESS_AID
    aid += TOKENS_AID if any(tokens for _, tokens in found) else ""
    what = "over the largest logit" if relative else "logits"
    return chart.Chart(
        name=name, title="Exactness beside speed", aid=aid, width=chart.WIDE, height=HEIGHT,
        x_title="tokens a second (logarithmic)", x_ticks=_speed_ticks(x),
        y_title=f"largest difference, {what} (logarithmic)",
        y_ticks=[*y.ticks(), (floor, "0")], marks=[*marks, *bubbles, *labels],
        legend=legend_of(arms, rows),
    )  # fmt: skip


def _roomy(speeds: Sequence[float], span: tuple[float, float]) -> chart.Scale:
    """A logarithmic scale with room for bubbles and labels at its ends."""
    low, high = min(speeds), max(speeds)
    air = max((high / low) ** 0.12, 1.1)
    return chart.Scale(low / air, high * air * air, *span, log=True)


def _speed_ticks(x: chart.Scale) -> list[tuple[float, str]]:
    """1, 2 and 5 times a power of ten, and where these are too few, every round number."""
    first, last = math.floor(math.log10(x.low)), math.ceil(math.log10(x.high))
    for steps in ((1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
        values = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        inside = [value for value in values if x.low <= value <= x.high]
        if len(inside) > 2:
            break
    return [(x(value), f"{value:,.6g}") for value in inside]


def _radius(row: Record, most: float) -> float:
    """By the square root of what the weights take, so that areas compare."""
    held = figure(row.get("weight_bytes"))
    return max(SMALLEST, LARGEST * math.sqrt(held / most)) if held and most else SMALLEST * 1.6


def _bubble(row: Record, at: tuple[float, float], radius: float, css: str, tip: str) -> chart.Mark:
    held = figure(row.get("weight_bytes"))
    return chart.dot(*at, f"{css} bubble" if held else f"{css} hollow", tip, round(radius, 1))


def _tip(row: Record, error: float, *, relative: bool) -> str:
    """What is shown when a bubble is pointed at."""
    held, peak = figure(row.get("weight_bytes")), figure(row.get("peak_rss_mib"))
    tip = f"{_words(row)}\n{short(row.get('tok_s'))} tokens/s\nlargest difference "
    unit = "of the largest logit" if relative else "logits"
    tip += f"{scientific(error)} {unit}" if error else "none: the same to the bit"
    allowed = None if relative else row.get("error_allowed_logits")
    tip += f" ({scientific(allowed)} is allowed in this workload)" if figure(allowed) else ""
    tip += f"\nweights {held / 2**20:,.1f} MiB" if held else ""
    bits = figure(row.get("weight_bits"))
    tip += f", {bits:g} bits each" if bits else ""
    tip += f"\nprocess at most {peak:,.0f} MiB" if peak else ""
    return tip


def _words(row: Record) -> str:
    """The arm, and its dtype where it is not part of its name."""
    judged = str(row.get("judged_as") or row.get("dtype") or "")
    kind = "" if judged == "float32" else f" ({judged})"
    return f"{row.get('arm')}{kind}"


def _label(at: tuple[float, float], radius: float, text: str, taken: list[Box]) -> chart.Mark:
    """The name beside a bubble, where no other name is, within the chart."""
    (x, y), width = at, LETTER * len(text)
    right, left, middle = x + radius + 4, x - radius - 4 - width, x - width / 2
    places = [(right, y + 4), (left, y + 4)]
    places += [(middle, y - radius - 5 - 14 * step) for step in range(5)]
    boxes = [(at, base - 11, at + width, base + 2) for at, base in places]
    boxes = [box for box in boxes if box[0] >= 0 and box[2] <= chart.WIDE] or boxes
    own = _around(*((x, y), radius))
    box = next(
        (b for b in boxes if not any(_overlap(b, other) for other in taken if other != own)),
        boxes[-1],
    )
    taken.append(box)
    return chart.label(round(box[0], 1), round(box[3] - 2, 1), text, "strong")


def _around(at: tuple[float, float], radius: float) -> Box:
    """The box of a bubble."""
    return at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _place(record: Record) -> tuple[Any, Any, Any]:
    return record.get("model"), record.get("device"), record.get("threads")


def _key(record: Record) -> tuple[Any, ...]:
    return (*_place(record), record.get("arm"))


def _name(key: tuple[Any, ...], several: bool) -> str:
    model, device, threads, workload = key
    return f"{workload} ({model}, {device}, {threads} threads)" if several else str(workload)
