"""Options of `pytest bench`, and where its results go.

A run's folder in `reports/runs` takes pytest-benchmark's own JSON (`benchmark.json`) and a record
for each place (`layer`, see `reports/SCHEMA.md`); a table of time beside error ends the run.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.judge.statistics import median_of
from reports.saved.environment import collect
from reports.saved.home import runs_root
from reports.saved.records import RunWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

LAYERS = pytest.StashKey[list[dict[str, Any]]]()
MOST_ROUNDS = 400
"""Rounds that an interval is made from; more tell no more, and cost seconds."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the places belong to, and what they are given."""
    group = parser.getgroup("layers", "single places of the model")
    group.addoption("--bench-model", default="random:tiny", help="a checkpoint (random:tiny)")
    group.addoption("--bench-length", type=int, default=16, help="tokens of each row (16)")
    group.addoption("--bench-batch", type=int, default=1, help="rows (1)")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Ask pytest-benchmark for its JSON, which it else would not make."""
    if not getattr(config.option, "benchmark_json", None):
        folder = tempfile.TemporaryDirectory(prefix="pytest-benchmark-")
        config.add_cleanup(folder.cleanup)
        config.option.benchmark_json = str(Path(folder.name) / "benchmark.json")


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: Any, output_json: dict[str, Any]  # noqa: ARG001
) -> None:  # fmt: skip
    """Keep the JSON, and a record for each place."""
    model = config.getoption("--bench-model")
    layers = [_layer(measured) for measured in output_json["benchmarks"]]
    config.stash[LAYERS] = layers
    out = runs_root() / "runs" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-layers"
    environment = collect(extra={"model": model})
    command = ["pytest", *map(str, config.invocation_params.args)]
    with RunWriter("bench", command=command, environment=environment, out=out) as writer:
        for layer in layers:
            writer.write({"record": "layer", "model": model, **layer})
        writer.finish({"layers": len(layers)})
    text = json.dumps(output_json, indent=1)
    (out / "benchmark.json").write_text(text + "\n", encoding="utf-8")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Time beside error, for both sides."""
    layers = config.stash.get(LAYERS, [])
    if not layers:
        return
    terminalreporter.section("time and error of each place (rms, to float64)")
    found = {(layer["tap"], layer["arm"]): layer for layer in layers}
    for line in table(list(dict.fromkeys(tap for tap, _ in found)), found):
        terminalreporter.write_line(line)


def table(taps: Sequence[str], found: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    """A line for each place: microseconds and error of each side."""
    lines = [f"{'':18}{'max':>12}{'torch':>12}{'error max':>14}{'error torch':>14}"]
    for tap in taps:
        sides = [found.get((tap, side)) for side in ("max", "torch")]
        times = [f"{1e6 * s['median_s']:>9.1f} us" if s else f"{'-':>12}" for s in sides]
        errors = [f"{s['rms_error']:>14.2e}" if s else f"{'-':>14}" for s in sides]
        lines.append(f"{tap:18}{''.join(times)}{''.join(errors)}")
    return lines


def _layer(measured: dict[str, Any]) -> dict[str, Any]:
    """The record of one place from what pytest-benchmark tells of it."""
    info, stats = measured["extra_info"], measured["stats"]
    middle = median_of(stats.get("data", [])[:MOST_ROUNDS] or [stats["median"]])
    return {
        "tap": info["tap"],
        "arm": info["arm"],
        "device": "cpu",
        "dtype": "float32",
        "batch": info["shape"][0],
        "length": info["shape"][1],
        "median_s": stats["median"],
        "ci_lo_s": middle.low,
        "ci_hi_s": middle.high,
        "rounds": stats["rounds"],
        "rms_error": info["rms_error"],
        "max_error": info["max_error"],
        "allowed": info["allowed"],
    }
