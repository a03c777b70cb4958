"""A worker process: `python -m bench.worker ARM ...` (an arm, `referee`, or `devices`).

It says in one line of JSON that it is ready, then answers each request, one line of JSON on stdin,
by one line on stdout. While it has nothing to do it blocks on the read, and the parent stops it
besides. Libraries get no hold of these pipes: whatever they print goes to stderr.

Nothing but the standard library is imported before the CPU affinity is set.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from bench.counters import limit_cpus, peak_rss_mib, read_counters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    import numpy.typing as npt

    from bench.arms import Arm
    from bench.workloads import Workload

    Array = npt.NDArray[Any]
    Reply = dict[str, Any]

WARM_CALLS = 3
"""Calls of each workload before any is timed, the first one included."""


def main(argv: Sequence[str]) -> int:
    """Set up, then answer requests until stdin ends."""
    options = _parser().parse_args(argv)
    requests, replies = _private_pipes()
    if options.threads:
        limit_cpus(options.threads)
    try:
        ready, answer = _ROLES.get(options.role, _arm_role)(options)
    except Exception as error:
        _send(replies, _failure(error))
        return 1
    _send(replies, ready)
    for line in requests:
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            reply = _failure(error)
        _send(replies, reply)
    return 0


def _private_pipes() -> tuple[TextIO, TextIO]:
    """Keep stdin and stdout for the protocol; others read nothing and print to stderr."""
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is all that is needed
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, replies


def _send(replies: TextIO, reply: Mapping[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def _failure(error: Exception) -> Reply:
    from bench.arms import ArmUnavailable

    if isinstance(error, ArmUnavailable):
        return {"unavailable": str(error)}
    text = " ".join(str(error).split())
    return {"error": f"{type(error).__name__}: {text}" if text else type(error).__name__}


def _arm_role(options: argparse.Namespace) -> tuple[Reply, Callable[[Reply], Reply]]:
    """Load an arm and make it ready, each phase timed."""
    start_s = time.perf_counter()
    from bench.arms import spec_of
    from bench.workloads import Workload

    module, _, name = spec_of(options.role).adapter.partition(":")
    adapter = getattr(importlib.import_module(module), name)
    imported_s = time.perf_counter()
    checkpoint = _checkpoint(options)
    arm: Arm = adapter(checkpoint, options.device, options.threads)
    loaded_s = time.perf_counter()
    arm.compile([Workload(**fields) for fields in json.loads(options.workloads)])
    compiled_s = time.perf_counter()
    ready = {
        "import_s": imported_s - start_s,
        "load_s": loaded_s - imported_s,
        "compile_s": compiled_s - loaded_s if arm.compiles else None,
        "weights_sha256": checkpoint.sha256,
    }
    server = ArmServer(arm, checkpoint.config.vocab_size, options.seed)
    return ready, server.answer


class ArmServer:
    """Answers the requests for an arm."""

    def __init__(self, arm: Arm, vocab_size: int, seed: int) -> None:
        self._arm, self._vocab_size, self._seed = arm, vocab_size, seed

    def answer(self, request: Reply) -> Reply:
        """`warm` a workload up, or take a `turn`."""
        from bench.workloads import Workload

        workload = Workload(**request["workload"])
        match request["op"]:
            case "warm":
                return self.warm(workload)
            case "turn":
                return self.turn(workload, request["block"], request["calls"], request["output"])
            case other:
                raise ValueError(f"unknown request {other!r}")

    def warm(self, workload: Workload) -> Reply:
        """Call a workload a few times, on inputs that come in no block."""
        ids = _ids(workload, self._vocab_size, self._seed + 1, 0)
        times_ns, _ = self._timed(workload, ids, WARM_CALLS)
        return {"first_call_s": times_ns[0] / 1e9, "estimate_s": min(times_ns[1:]) / 1e9}

    def turn(self, workload: Workload, block: int, calls: int, output: str) -> Reply:
        """Time `calls` calls on the inputs of `block`, and save what the last one returned."""
        import numpy as np

        ids = _ids(workload, self._vocab_size, self._seed, block)
        before = read_counters()
        times_ns, result = self._timed(workload, ids, calls)
        spent = read_counters().since(before)
        np.save(output, result)
        return {
            "times_ns": times_ns,
            "nonvoluntary_switches": spent.nonvoluntary_switches,
            "cpu_pressure_us": spent.cpu_pressure_us,
            "peak_rss_mib": peak_rss_mib(),
        }

    def _timed(self, workload: Workload, ids: Array, calls: int) -> tuple[list[int], Array]:
        times_ns = []
        for _ in range(calls):
            start_ns = time.perf_counter_ns()
            if workload.n_gen:
                result = self._arm.generate(ids, workload.n_gen)
            else:
                result = self._arm.forward(ids)
            times_ns.append(time.perf_counter_ns() - start_ns)
        return times_ns, result


def _referee_role(options: argparse.Namespace) -> tuple[Reply, Callable[[Reply], Reply]]:
    from dataclasses import asdict

    import numpy as np

    from bench.referee import Referee
    from bench.workloads import Workload

    checkpoint = _checkpoint(options)
    referee = Referee(checkpoint, options.threads)
    vocab_size, seed = checkpoint.config.vocab_size, options.seed

    def answer(request: Reply) -> Reply:
        workload = Workload(**request["workload"])
        ids = _ids(workload, vocab_size, seed, request["block"])
        return asdict(referee.check(workload, ids, np.load(request["output"])))

    return {"weights_sha256": checkpoint.sha256}, answer


def _devices_role(_: argparse.Namespace) -> tuple[Reply, Callable[[Reply], Reply]]:
    from impl.runtime import NO_ACCELERATOR, device_names

    return {"devices": device_names(), "none": NO_ACCELERATOR}, lambda _: {}


_ROLES = {"referee": _referee_role, "devices": _devices_role}


def _checkpoint(options: argparse.Namespace) -> Any:
    from reference.load import load

    return load(options.model, revision=options.revision, seed=options.seed)


def _ids(workload: Workload, vocab_size: int, seed: int, block: int) -> Array:
    from bench.workloads import prompt_ids

    return prompt_ids(workload, vocab_size, seed, block)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.worker")
    parser.add_argument("role", help="an arm, referee or devices")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--revision")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workloads", default="[]", help="JSON list")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
