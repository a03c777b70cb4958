"""A worker process: `python -m bench.worker ARM ...` (an arm, or a role of `bench.worker.roles`).

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

from bench.worker.counters import limit_cpus, peak_rss_mib, reset_peak_rss, rss_mib
from reports.commands import end_with_parent, working_directory_last

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from bench.arms.base import Arm

    Reply = dict[str, Any]
    Answer = Callable[[Reply], Reply]


def main(argv: Sequence[str]) -> int:
    """Set up, then answer requests until stdin ends."""
    options = _parser().parse_args(argv)
    if options.parent:
        end_with_parent(options.parent)
    working_directory_last()
    requests, replies = _private_pipes()
    if options.threads:
        limit_cpus(options.threads)
    try:
        ready, answer = _set_up(options)
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


def _set_up(options: argparse.Namespace) -> tuple[Reply, Answer]:
    from bench.worker.roles import ROLES

    return ROLES.get(options.role, _arm_role)(options)


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
    from bench.arms.base import ArmUnavailable

    if isinstance(error, ArmUnavailable):
        return {"unavailable": str(error)}
    text = " ".join(str(error).split())
    return {"error": f"{type(error).__name__}: {text}" if text else type(error).__name__}


class Phases:
    """Seconds and peak memory of what happens once, one phase after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float | None] = {}
        self.memory: dict[str, dict[str, float | None]] = {}
        self._mark()

    def end(self, name: str, *, exists: bool = True) -> None:
        """The phase `name` ends here, and the next begins; `exists` is false for an empty one."""
        self.seconds[name] = time.perf_counter() - self._start_s if exists else None
        if exists:
            self.memory[name] = {"peak_rss_mib": peak_rss_mib(), "rss_mib": rss_mib()}
        self._mark()

    def _mark(self) -> None:
        reset_peak_rss()
        self._start_s = time.perf_counter()


def _arm_role(options: argparse.Namespace) -> tuple[Reply, Answer]:
    """Load an arm and make it ready, each phase timed."""
    phases = Phases()
    from bench.arms.specs import CANDIDATE, spec_of
    from bench.worker.server import ArmServer, load_checkpoint
    from bench.workload.workload import Workload

    spec = spec_of(options.role)
    module, _, name = spec.adapter.partition(":")
    adapter = getattr(importlib.import_module(module), name)
    phases.end("import")
    checkpoint = load_checkpoint(options)
    own = ("candidate", "pairing", "output", "padded_vocab")
    names = own if spec.engine == CANDIDATE else ()
    named = {name: getattr(options, name) for name in names}
    arm: Arm = adapter(checkpoint, options.device, options.threads, **named)
    phases.end("load")
    arm.compile([Workload(**fields) for fields in json.loads(options.workloads)])
    phases.end("compile", exists=arm.compiles)
    ready = {
        "seconds": phases.seconds,
        "memory": phases.memory,
        "cache": arm.cache,
        "runtime": arm.runtime,
        "kernel_path": arm.kernel_path,
        "weight_bytes": arm.weight_bytes,
        "weight_bits": arm.weight_bits,
        "weights_sha256": checkpoint.sha256,
    }
    server = ArmServer(arm, checkpoint.config.vocab_size, options.seed)
    return ready, server.answer


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.worker")
    parser.add_argument("role", help="an arm, or a role of bench.worker.roles")
    parser.add_argument("--parent", type=int, help="the process whose end ends this one")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--revision")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workloads", default="[]", help="JSON list")
    parser.add_argument("--candidate", default="")
    parser.add_argument("--pairing", default="")
    parser.add_argument("--output", default="logits")
    parser.add_argument("--padded-vocab", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
