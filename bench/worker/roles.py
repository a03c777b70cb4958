"""What a worker can be beside an arm: the referee, the list of devices, the machine's ceilings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Reply = dict[str, Any]
    Answer = Callable[[Reply], Reply]


def referee(options: argparse.Namespace) -> tuple[Reply, Answer]:
    """Judges outputs by PyTorch's; see `bench.worker.referee`."""
    from dataclasses import asdict

    import numpy as np

    from bench.worker.referee import Referee
    from bench.worker.server import load_checkpoint
    from bench.workload.workload import Workload, prompt_ids

    checkpoint = load_checkpoint(options)
    judge = Referee(checkpoint, options.threads)
    vocab_size, seed = checkpoint.config.vocab_size, options.seed

    def answer(request: Reply) -> Reply:
        workload = Workload(**request["workload"])
        if request["op"] == "prepare":
            judge.prepare(workload, request["dtype"])
            return {}
        agreements, exactness = [], []
        for item in request["items"]:
            ids = prompt_ids(workload, vocab_size, seed, item["block"])
            output = np.load(item["output"])
            if request["op"] == "exactness":
                exactness.append(asdict(judge.exactness(workload, ids, output)))
            else:
                agreements.append(asdict(judge.check(workload, ids, output, item["dtype"])))
        return {"agreements": agreements, "exactness": exactness}

    return {"weights_sha256": checkpoint.sha256}, answer


def devices(_: argparse.Namespace) -> tuple[Reply, Answer]:
    """Names the devices that MAX finds."""
    from impl.runtime import NO_ACCELERATOR, device_names

    return {"devices": device_names(), "none": NO_ACCELERATOR}, lambda _: {}


def ceilings(options: argparse.Namespace) -> tuple[Reply, Answer]:
    """Measures what the machine can do at most; see `bench.worker.ceilings`."""
    from bench.worker.ceilings import CeilingServer
    from bench.worker.server import load_checkpoint

    checkpoint = load_checkpoint(options)
    server = CeilingServer(checkpoint.config, options.device, options.threads)
    return {"weights_sha256": checkpoint.sha256}, server.answer


ROLES = {"referee": referee, "devices": devices, "ceilings": ceilings}
