"""What lies inside the errors: their tokens, and the tensors around the worst element."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.taps import short_name
from reports.figures.heat import Heat, log_heat
from reports.figures.parity import Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reports.saved.artefacts import Artefacts

FEW_TOKENS = 8
"""Cases with fewer tokens come last among the heat maps."""

TOKENS_AID = (
    "Which tokens the error of a place comes from. A bright column is a position, a bright row a "
    "place; a row's root mean square is the place's share of the allowed error, so that a single "
    "token may pass 100% in a place that is allowed."
)


@dataclass(frozen=True, slots=True)
class Window:
    """The tensors around the worst element of the first divergence.

    Attributes:
        tap, case: where.
        tokens, features: indices of rows and columns.
        panels: title, and rows of (value, share of the panel's largest from -1 to 1).
        worst: row and column of the worst element.
    """

    tap: str
    case: str
    tokens: list[int]
    features: list[int]
    panels: list[tuple[str, list[list[tuple[str, float]]]]]
    worst: tuple[int, int]


def token_heat(artefacts: Artefacts, divergence: Mapping[str, Any] | None) -> list[Variant]:
    """Share of the allowed error by place and token; the first divergence's case comes first."""
    cases = artefacts.owners("tokens")
    first = (divergence or {}).get("case")
    found = {case: artefacts.below(f"{case}/tokens") for case in cases}
    whole = {
        case: arrays
        for case, arrays in found.items()
        if {"taps", "used", "ids"} <= arrays.keys() and arrays["used"].ndim == 2
    }
    order = sorted(
        whole, key=lambda c: (len(whole[c]["ids"]) < FEW_TOKENS, c != first, "text" not in c)
    )
    return [
        Variant(case, _one_heat(whole[case], f"tokens-{number}"))
        for number, case in enumerate(order)
    ]


def _one_heat(arrays: Mapping[str, Any], name: str) -> Heat:
    return log_heat(
        arrays["used"], name=name, low=1e-2, high=max(10.0, _peak(arrays["used"])),
        rows=[short_name(str(tap)) for tap in arrays["taps"]],
        columns=[f"token {index} (id {token})" for index, token in enumerate(arrays["ids"])],
        unit="of the allowed error", title="Share of the allowed error, by place and token",
        aid=TOKENS_AID,
    )  # fmt: skip


def _peak(values: Any) -> float:
    finite = values[np.isfinite(values)]
    peak = float(finite.max(initial=1.0))
    return 10.0 ** math.ceil(math.log10(max(peak, 1.0)))


def window(artefacts: Artefacts, divergence: Mapping[str, Any] | None) -> Window | None:
    """The tensors around the worst element, in the case of that place that shows most tokens."""
    tap = (divergence or {}).get("tap")
    if not tap:
        return None
    found = {case: artefacts.below(f"{case}/window/{tap}") for case in artefacts.owners("window")}
    whole = {
        case: arrays
        for case, arrays in found.items()
        if {"worst", "first", "candidate", "oracle"} <= arrays.keys()
    }
    if not whole:
        return None
    case = max(whole, key=lambda one: (whole[one]["candidate"].shape[0], "probe" not in one))
    return _window(str(tap), case, whole[case])


def _window(tap: str, case: str, arrays: Mapping[str, Any]) -> Window:
    found, truth = arrays["candidate"], arrays["oracle"]
    first, at = arrays["first"].tolist(), arrays["worst"].tolist()
    scale = float(np.nanmax(np.abs(truth), initial=0.0)) or 1.0
    difference = found - truth
    largest = float(np.nanmax(np.abs(np.nan_to_num(difference)), initial=0.0)) or 1.0
    panels = [
        ("candidate", _panel(found, scale)),
        ("float64", _panel(truth, scale)),
        ("candidate - float64", _panel(difference, largest)),
    ]
    if "torch" in arrays:  # not where the graph was evaluated in float64
        panels.append(("PyTorch - float64", _panel(arrays["torch"] - truth, largest)))
    return Window(
        tap=tap,
        case=case,
        tokens=[first[0] + index for index in range(found.shape[0])],
        features=[first[1] + index for index in range(found.shape[1])],
        panels=panels,
        worst=(at[1] - first[0], at[2] - first[1]),
    )


def _panel(values: Any, scale: float) -> list[list[tuple[str, float]]]:
    return [[(f"{value:.3g}", _share(float(value) / scale)) for value in row] for row in values]


def _share(value: float) -> float:
    return 0.0 if math.isnan(value) else round(max(-1.0, min(1.0, value)), 3)
