"""Records as pandas frames.

Columns that a record lacks are left empty: records of older versions and of other kinds do no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.tables.numbers import figure
from reports.tables.verdicts import gravity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.saved.records import Run

    Row = Mapping[Any, Any]

CHECK_COLUMNS = (
    "case", "model", "regime", "batch", "length", "seed", "device", "dtype", "mode", "tap", "layer",
    "shape", "max_abs", "rms", "relative", "ulp", "cosine", "torch_max_abs", "torch_rms",
    "envelope_max", "envelope_rms", "ratio", "used", "verdict", "message", "details",
)  # fmt: skip
ROW_COLUMNS = (
    "model", "workload", "arm", "device", "dtype", "threads", "batch", "n_prompt", "n_gen",
    "n_depth", "logits_policy", "kv_cache", "compared_in", "judged_as", "error_class",
    "runtime", "kernel_path", "status",
    "median_s", "ci_lo_s", "ci_hi_s", "median_clean_s", "ci_lo_clean_s", "ci_hi_clean_s",
    "tok_s", "blocks", "blocks_clean", "processes", "quads", "samples", "n_eff", "ttft_ms",
    "tpot_ms", "itl_ms", "itl_ms_p90", "itl_ms_p95", "itl_ms_p99", "itl_ms_n", "e2e_ms",
    "e2e_ms_p90",
    "e2e_ms_p95", "e2e_ms_p99", "e2e_ms_n", "prefill_tok_s", "decode_tok_s", "flops",
    "flops_executed", "bytes", "passes", "mfu", "hfu", "mbu", "roofline_pct", "bound",
    "limit_pct", "limit_lo_pct", "limit_hi_pct",
    "peak_rss_mib", "peak_device_mib", "kv_bytes", "weight_bytes", "weight_bits",
    "spread_processes_pct", "spread_quads_pct", "paused_ratio", "import_s", "load_s", "compile_s",
    "compile_warm_s", "compile_cache", "first_call_s", "host_copy_s", "verified",
    "invalid_reasons",
)  # fmt: skip
EFFECT_COLUMNS = (
    "model", "workload", "device", "dtype", "threads", "arm", "versus", "ratio", "ci_lo", "ci_hi",
    "ratio_typical", "ratio_clean", "ci_lo_clean", "ci_hi_clean", "processes", "quads",
    "quads_clean", "margin", "verdict", "more_processes", "more_quads", "why",
)  # fmt: skip
SAMPLE_COLUMNS = (
    "model", "workload", "arm", "device", "dtype", "threads", "generation", "quad", "block",
    "position", "call", "start_ns", "time_ns", "ttft_ns", "clean", "psi_us", "switches",
    "steal_us", "waited_us", "taken_us",
    "wall_s", "others_cpu_s",
)  # fmt: skip

_COMPILED, _TRACED = ("isolated", "free"), ("math", "math-free")
"""The modes of checks that belong to a place, alone and in a whole run: of the compiled
program, and of the traced graph in float64."""


def missing(value: Any) -> bool:
    """Whether there is no figure. A measured NaN is the string "nan", and is not missing."""
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def checks_frame(run: Run) -> pd.DataFrame:
    """One row for each check of a verification."""
    return frame_of_checks(run.of("check"))


def frame_of_checks(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each record of a check."""
    return _frame(records, CHECK_COLUMNS)


def rows_frame(run: Run) -> pd.DataFrame:
    """One row for each arm and workload of a benchmark."""
    return _frame(run.of("row"), ROW_COLUMNS)


def effects_frame(run: Run) -> pd.DataFrame:
    """One row for each pair of arms and workload of a benchmark."""
    return _frame(run.of("effect"), EFFECT_COLUMNS)


def samples_frame(run: Run) -> pd.DataFrame:
    """One row for each timing of a benchmark."""
    return _frame(run.of("sample"), SAMPLE_COLUMNS)


def frame_of(run: Run, kind: str) -> pd.DataFrame:
    """One row for each record of a kind, with the columns that the records have."""
    return _frame(run.of(kind), ())


def layers_frame(checks: pd.DataFrame, order: Sequence[str] = ()) -> pd.DataFrame:
    """One row for each tap and device, the worst of all cases.

    Args:
        checks: as `checks_frame` returns them.
        order: taps in the order of execution; others follow in the order of their first check.

    Returns:
        `tap`, `device`, `case`, `shape`, `error` and `pytorch` (rms, of the worst isolated case),
        `used` (share of the allowed error, isolated), `used_free` (running free), `verdict` (the
        gravest of all), `verdict_alone`, `verdict_free`. Of a run that compiled nothing these are
        figures of the traced graph in float64.
    """
    modes = place_modes(checks)
    taps = checks[checks["mode"].isin(modes)]
    alone, free = (_worst_by_place(taps[taps["mode"] == mode]) for mode in modes)
    every = _worst_by_place(taps)
    found = dict.fromkeys(map(_place, taps[["tap", "device"]].to_dict("records")))
    rows = [_layer(alone.get(key), free.get(key), every[key]) for key in found]
    place = {tap: index for index, tap in enumerate(order)}
    rows.sort(key=lambda row: place.get(row["tap"], len(place)))
    columns = (
        "tap", "device", "case", "shape", "error", "pytorch", "used", "used_free", "verdict",
        "verdict_alone", "verdict_free",
    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(columns))


def computing_taps(checks: pd.DataFrame) -> list[str]:
    """Taps with an envelope, in isolation: something is computed there, not only passed on."""
    alone = checks[checks["mode"] == place_modes(checks)[0]]
    some = alone["envelope_rms"].map(lambda value: (figure(value) or 0.0) > 0)
    return list(dict.fromkeys(alone.loc[some.astype(bool), "tap"]))


def place_modes(checks: pd.DataFrame) -> tuple[str, str]:
    """The modes that tell about places: of the compiled program, where anything was compiled."""
    return _COMPILED if (checks["mode"] == _COMPILED[0]).any() else _TRACED


def gravest_by_tap(layers: pd.DataFrame) -> list[Row]:
    """One row for each tap: of several devices the one that fails, else that with the most used.

    Args:
        layers: as `layers_frame` returns them.
    """
    found: dict[Any, Row] = {}
    for row in layers.to_dict("records"):
        known = found.get(row["tap"])
        if known is None or _rank(row) > _rank(known):
            found[row["tap"]] = row
    return list(found.values())


def _rank(row: Row) -> tuple[bool, bool, float]:
    alone = verdict_alone(row)
    return (
        alone not in ("PASS", "SKIP"),
        row["verdict_free"] == "FAIL",
        gravity(alone, row["used"])[1],
    )


def verdict_alone(row: Row) -> str:
    """The verdict in isolation; the only one there is where the place was not isolated."""
    alone = row["verdict_alone"]
    return str(row["verdict"] if missing(alone) else alone)


def modes_frame(checks: pd.DataFrame) -> pd.DataFrame:
    """One row for each kind of check: how many there are, how many passed, and the gravest."""
    rows = []
    for mode, group in checks.groupby("mode", sort=False, dropna=False):
        gravest = worst(group)
        rows.append(
            {
                "check": mode,
                "passed": int((group["verdict"] == "PASS").sum()),
                "of": len(group),
                "used": _used(gravest),
                "verdict": gravest["verdict"],
                "message": gravest["message"],
            }
        )
    return pd.DataFrame(rows, columns=["check", "passed", "of", "used", "verdict", "message"])


def _layer(alone: Row | None, free: Row | None, every: Row) -> dict[str, Any]:
    """One row of the table by layer, from the worst checks of a place."""
    shown = alone or free or every
    return {
        "tap": shown["tap"],
        "device": shown["device"],
        "case": shown["case"],
        "shape": shown["shape"],
        "error": shown["rms"],
        "pytorch": shown["torch_rms"],
        "used": _used(alone) if alone else None,
        "used_free": _used(free) if free else None,
        "verdict": every["verdict"],
        "verdict_alone": alone["verdict"] if alone else None,
        "verdict_free": free["verdict"] if free else None,
    }


def _worst_by_place(checks: pd.DataFrame) -> dict[tuple[Any, Any], Row]:
    return {_place(row): row for row in worst_of(checks, ["tap", "device"]).to_dict("records")}


def _place(row: Row) -> tuple[Any, Any]:
    """Tap and device; a missing device is None, because NaN is not equal to itself."""
    return row["tap"], None if missing(row["device"]) else row["device"]


def worst_of(checks: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The worst check of each group, one row for each, the gravest group first."""
    return gravest_first(checks).drop_duplicates(keys)


def worst(group: pd.DataFrame) -> pd.Series[Any]:
    """The row with the gravest verdict, then with the largest share of the allowed error."""
    keys = [gravity(*pair) for pair in zip(group["verdict"], group["used"], strict=True)]
    return group.iloc[keys.index(max(keys))]


def gravest_first(checks: pd.DataFrame) -> pd.DataFrame:
    """The checks by verdict, then by their share of the allowed error, largest first."""
    pairs = zip(checks["verdict"], checks["used"], strict=True)
    keys = pd.DataFrame([gravity(*pair) for pair in pairs], checks.index, ["verdict", "used"])
    order = keys.sort_values(["verdict", "used"], ascending=False, kind="stable").index
    return checks.loc[order]


def _used(row: Row | pd.Series[Any]) -> Any:
    return None if missing(row["used"]) else row["used"]


def _frame(records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """A frame with the known columns first, and whatever else the records hold after them."""
    known = {"record": None} | dict.fromkeys(columns)
    others = [key for record in records for key in record if key not in known]
    frame = pd.DataFrame(records, columns=[*columns, *dict.fromkeys(others)], dtype=object)
    return frame.where(frame.notna(), None)  # else a key that a record lacks would read "nan"
