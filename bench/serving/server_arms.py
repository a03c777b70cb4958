"""The servers that the harness starts itself, each by its own command, on the same CPUs.

Their weights are float32. What each of them lacks of OpenAI's completions is made up for: prompts
are asked as texts where it takes no token ids, and tokens counted by the tokenizer where it does
not tell them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.peers import folder as peers_folder
from reference.load import config_of, folder_of
from reports.commands import UsageError
from reports.saved.home import REPOSITORY
from verify.endpoint.servers import LOOPBACK, READY_S, Server, ServerError, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

GREEDY = {"temperature": 0}

GRACE_S = 20.0
"""How long a server may take to end: MAX Serve waits for requests that are open."""


COLD_S = 1200.0
"""How long a server may take to answer that compiles everything anew, on one CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerArm:
    """A server that takes part.

    Attributes:
        command: from the checkpoint's name, its folder, a port and a number of threads.
        ready: the path that answers with 200 once it serves, or the beginning of the line that it
            prints then.
        dtype: of weights, keys and values.
        judged_as: the dtype that its answers are judged by.
        takes_ids: whether a prompt may be token ids.
        options: further fields of each request.
        peer: whether it runs in the peers' environment.
        packages: of that environment, that it needs.
        lacks: what a reader must know of it, in a sentence.
    """

    command: Callable[[str, Path, int, int], list[str]]
    ready: str = "/v1/models"
    dtype: str = "float32"
    judged_as: str = "float32"
    takes_ids: bool = False
    options: Mapping[str, Any] = field(default_factory=lambda: GREEDY)
    peer: bool = False
    packages: tuple[str, ...] = ()
    lacks: str = ""


def _max(model: str, _folder: Path, port: int, _threads: int) -> list[str]:
    return [sys.executable, "-m", "impl", "serve", "--model", model, "--host", LOOPBACK,
            "--port", str(port)]  # fmt: skip


def _llama_cpp(model: str, folder: Path, port: int, threads: int) -> list[str]:
    python = str(peers_folder() / "bin" / "python")
    positions = config_of(model if model == "tiny" else str(folder)).n_positions
    return [python, "-m", "llama_cpp.server", "--model", str(gguf_of(model)), "--host", LOOPBACK,
            "--port", str(port), "--model_alias", model, "--n_ctx", str(positions),
            "--n_threads", str(threads), "--n_threads_batch", str(threads),
            "--interrupt_requests", "false", "--type_k", "0", "--type_v", "0"]  # fmt: skip


def _transformers(_model: str, folder: Path, port: int, _threads: int) -> list[str]:
    python = str(peers_folder() / "bin" / "python")
    return [python, "-m", "transformers.cli.transformers", "serve", str(folder),
            "--host", LOOPBACK, "--port", str(port), "--device", "cpu",
            "--dtype", "float32"]  # fmt: skip


SERVERS: dict[str, ServerArm] = {
    "max": ServerArm(
        command=_max, ready="Ready: ", takes_ids=True,
        options={**GREEDY, "ignore_eos": True, "return_token_ids": True},
    ),
    "llama.cpp": ServerArm(
        command=_llama_cpp, judged_as="float16", peer=True,
        packages=("llama_cpp", "starlette_context"),
        options={**GREEDY, "repeat_penalty": 1.0},  # 1.1 unless one asks
        lacks="llama.cpp's server of llama-cpp-python takes texts, answers one request at a time, "
        "streams without a count of tokens, and punishes repetitions unless repeat_penalty is 1",
    ),
    "transformers": ServerArm(
        command=_transformers, ready="/health", peer=True, packages=("accelerate", "openai"),
        lacks="transformers serve takes texts, has no ignore_eos, ends streams without [DONE], and "
        "runs each request by itself unless --continuous-batching is asked for",
    ),
}  # fmt: skip
"""By name. `max` answers in float32; so do the others, llama.cpp with a GELU from a table of
float16."""

DEFAULT_SERVERS = ("max", "llama.cpp", "transformers")


def why_not(name: str) -> str:
    """Why a server cannot run here; nothing where it can."""
    arm = SERVERS[name]
    if not arm.peer:
        return ""
    missing = [one for one in arm.packages if not _installed(one)]
    if missing or not (peers_folder() / "bin" / "python").is_file():
        return f"{', '.join(missing) or 'peers'} not installed: run `python -m bench peers` first"
    return ""


def _installed(package: str) -> bool:
    """Whether the peers' environment has a package, also by a path file that points elsewhere."""
    places = list(peers_folder().glob("lib/python*/site-packages"))
    more = [Path(line.strip()) for place in places for file in place.glob("*.pth")
            for line in file.read_text(encoding="utf-8").splitlines()
            if line.startswith("/")]  # fmt: skip
    return any((place / package / "__init__.py").is_file() for place in [*places, *more])


def gguf_of(model: str) -> Path:
    """The checkpoint as llama.cpp takes it, made where that was not done before.

    Raises:
        UsageError: where it cannot be made.
    """
    python = str(peers_folder() / "bin" / "python")
    run = subprocess.run(
        [python, "-m", "bench.serving.gguf_file", model], cwd=REPOSITORY, capture_output=True,
        text=True, check=False, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    if run.returncode:
        lines = run.stderr.strip().splitlines() or ["it said nothing"]
        raise UsageError(f"llama.cpp: {model} could not be converted: {lines[-1]}")
    return Path(run.stdout.strip().splitlines()[-1])


def _printed(log: Path, beginning: str) -> bool:
    text = log.read_text(encoding="utf-8", errors="replace")
    return any(line.startswith(beginning) for line in text.splitlines())


@dataclass(frozen=True, slots=True)
class Started:
    """A server that was started: itself, its address, and the name of its model."""

    server: Server
    url: str
    model: str


def server_of(
    name: str, model: str, threads: int, cpus: Sequence[int], log: Path, *, cold: Path | None = None
) -> Started:
    """A server, not started yet.

    Args:
        name: of `SERVERS`.
        model: the checkpoint.
        threads: that it computes with.
        cpus: that it may run on; it and the threads that it starts.
        log: takes what it prints.
        cold: an empty folder in place of the caches of compilers; None for the usual ones.

    Raises:
        UsageError: where the model cannot be converted.
    """
    arm, port = SERVERS[name], free_port()
    folder = folder_of(model)
    command = arm.command(model, folder, port, threads)
    pinned = [sys.executable, "-m", "bench.asking.pinned", ",".join(map(str, cpus)), *command]
    url = f"http://{LOOPBACK}:{port}"
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    environment = {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": path,
                   "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
    if cold is not None:
        environment["MODULAR_DERIVED_PATH"] = str(cold)
    ready = url + arm.ready if arm.ready.startswith("/") else lambda: _printed(log, arm.ready)
    server = Server(pinned, ready=ready, log=log, environment=environment, grace_s=GRACE_S,
                    ready_s=COLD_S if cold else READY_S)  # fmt: skip
    return Started(server, url, str(folder) if name == "transformers" else model)


__all__ = ["SERVERS", "ServerArm", "ServerError", "Started", "server_of", "why_not"]
