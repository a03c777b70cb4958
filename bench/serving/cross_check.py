"""The same load by `max benchmark` of the wheel: both figures, and how far they are apart.

The same prompts, as texts, by the same number of callers, on the same process of the server: by
this client, by `max benchmark`, and by this client again. What is compared are means, which both
programs have. `max benchmark` counts tokens by encoding the answer's text again, and its rates are
over all of its run, its beginning and end included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.asking.caller import Caller, CallerError
from bench.asking.level import Level
from bench.serving.latency import latencies
from bench.serving.load_plan import WARM_SHARE
from bench.serving.server_arms import SERVERS, ServerError, server_of
from bench.serving.windows import level_record
from reference.load import folder_of
from reports.saved.home import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.serving.known import Known
    from bench.serving.load_plan import LoadPlan

    Record = dict[str, Any]

CALLERS = 4
LIMIT_S = 600.0

REPOSITORY_OF_TEXTS = "anon8231489123/ShareGPT_Vicuna_unfiltered"
FILE_OF_TEXTS = "ShareGPT_V3_unfiltered_cleaned_split.json"
REVISION = "0" * 40
"""What its dataset `sharegpt` reads from the cache of the hub, which is a folder of ours here."""

FIGURES = {
    "TTFT, mean": ("mean_ttft_ms", "ttft_ms_mean", "ms"),
    "ITL, mean": ("mean_itl_ms", "itl_ms_mean", "ms"),
    "E2E, mean": ("mean_latency_ms", "e2e_ms_mean", "ms"),
    "answers": ("request_throughput", "requests_s", "1/s"),
    "tokens": ("tok_s", "tok_s", "1/s"),
}
"""By name: the key of theirs, of ours, and the unit."""


def cross_check(
    plan: LoadPlan, known: Known, emit: Callable[[Record], None], say: Callable[[str], None],
    logs: Path,
) -> None:  # fmt: skip
    """Put the load on the first server by both programs, and record both figures."""
    arm = plan.arms[0]
    dtype = "as served" if plan.url else SERVERS[arm].dtype
    place = {**plan.place(arm, dtype), "loop": "closed", "load": float(CALLERS)}
    say(f"{arm}: the same load by max benchmark")
    try:
        with ExitStack() as stack:
            url, served = plan.url, plan.served
            if not url:
                started = server_of(arm, plan.model, plan.threads, plan.server_cpus,
                                    logs / "cross-check-server.log")  # fmt: skip
                stack.enter_context(started.server)
                url, served = started.url, started.model
            ours, theirs = _both(plan, known, url, served, logs)
    except (CallerError, ServerError, CrossCheckError) as error:
        emit({"record": "cross_check", **place, "error": str(error)})
        return
    for metric, (their_key, our_key, unit) in FIGURES.items():
        one, other = theirs[their_key], ours[our_key]
        apart = abs(one - other) / other if one is not None and other else None
        emit({"record": "cross_check", **place, "error": "", "metric": metric, "unit": unit,
              "theirs": one, "ours": other, "apart": apart})  # fmt: skip


class CrossCheckError(RuntimeError):
    """`max benchmark` did not run, in one sentence."""


def _both(plan: LoadPlan, known: Known, url: str, served: str, logs: Path) -> tuple[Record, Record]:
    options = plan.options if plan.url else SERVERS[plan.arms[0]].options
    texts = [prompt.text for prompt in known.prompts]
    connection = {"url": url, "model": served, "prompts": texts, "max_tokens": plan.n_new,
                  "options": dict(options)}  # fmt: skip
    with Caller(connection, plan.client_cpus, logs / "cross-check-client.log") as caller:
        before = _ours(caller, plan, known, 0)
        theirs = _theirs(plan, known, url, served, logs)
        after = _ours(caller, plan, known, 1)
    return {key: _mean([before[key], after[key]]) for key in before}, theirs


def _ours(caller: Caller, plan: LoadPlan, known: Known, turn: int) -> Record:
    level = Level(loop="closed", load=CALLERS, warm_s=WARM_SHARE * plan.seconds,
                  seconds=plan.seconds, round=turn, seed=plan.seed)  # fmt: skip
    requests, client = caller.level(level)
    for one in requests:
        one["tokens"] = known.count(one) if not one["error"] else None
    counted = [one for one in requests if one["scheduled_ns"] >= client["window_begin_ns"]]
    found = {**latencies(counted), **level_record(requests, client)}
    return {key: found[key] for _, key, _ in FIGURES.values()}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _theirs(plan: LoadPlan, known: Known, url: str, served: str, logs: Path) -> Record:
    """Run `max benchmark` in a folder of its own, and read its figures.

    Raises:
        CrossCheckError: where it fails, with the last that it said.
    """
    folder = logs / "max-benchmark"
    folder.mkdir(exist_ok=True)
    _as_dataset(known, folder / "hub")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub"),
                   "MODULAR_TELEMETRY_ENABLED": "false", "PYTHONPATH": str(REPOSITORY)}  # fmt: skip
    with (folder / "log.txt").open("w") as log:
        try:
            code = subprocess.run(
                _command(plan, known, url, served), cwd=folder, env=environment, check=False,
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=LIMIT_S,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            raise CrossCheckError(f"max benchmark took more than {LIMIT_S:g} s") from None
    return _read(folder, code)


def _as_dataset(known: Known, cache: Path) -> None:
    """Our prompts where `max benchmark` looks for a dataset: it takes texts of no other file."""
    folder = cache / f"datasets--{REPOSITORY_OF_TEXTS.replace('/', '--')}"
    talks = [{"conversations": [{"value": prompt.text}, {"value": ""}]} for prompt in known.prompts]
    for place, text in (("refs/main", REVISION),
                        (f"snapshots/{REVISION}/{FILE_OF_TEXTS}", json.dumps(talks))):  # fmt: skip
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")


def _command(plan: LoadPlan, known: Known, url: str, served: str) -> list[str]:
    cpus = ",".join(map(str, plan.client_cpus))
    return [
        sys.executable, "-m", "bench.asking.pinned", cpus,
        str(Path(sys.executable).with_name("max")), "benchmark",
        "--backend", "modular", "--base-url", url, "--endpoint", "/v1/completions",
        "--model", served, "--tokenizer", str(folder_of(plan.model)),
        "--dataset-name", "sharegpt",
        "--output-lengths", str(plan.n_new), "--num-prompts", str(len(known.prompts)),
        "--max-concurrency", str(CALLERS), "--temperature", "0", "--disable-tqdm",
        "--skip-test-prompt", "--no-collect-gpu-stats", "--no-collect-cpu-stats",
        "--no-collect-server-stats", "--result-filename", "result.json",
    ]  # fmt: skip


def _read(folder: Path, code: int) -> Record:
    try:
        found: Mapping[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        text = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()] or ["nothing"]
        raise CrossCheckError(
            f"max benchmark ended with exit {code}; its last words: {lines[-1]}"
        ) from None
    tokens, seconds = found.get("total_output_tokens"), found.get("duration")
    return {**found, "tok_s": tokens / seconds if tokens and seconds else None}
