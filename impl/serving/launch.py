"""`python -m impl serve`: MAX Serve with this GPT-2, started, announced and stopped.

What is usually wrong is looked at before MAX is started: the checkpoint, the port, the device. MAX
Serve then runs as a process of its own with the package `impl.serving`. Of its log stderr has what
is not routine, once it answers; all of it with `--verbose`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.request
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from reports.commands import UsageError, end_with_parent, terminable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from reference.checkpoint import Checkpoint

LOOPBACK = "127.0.0.1"

PACKAGE = Path(__file__).parent

DTYPES = ("float32", "bfloat16")

BATCH = 16
"""Requests that are computed together; MAX's own choice on a CPU is one."""

GRACE_S = 15.0
"""How long MAX Serve may take to end after SIGTERM: it waits 5 s for requests that are open."""

LOOK_EVERY_S = 0.2

KEPT_LINES = 40

QUIET = {
    "MODULAR_TELEMETRY_ENABLED": "false",
    "MAX_SERVE_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
"""No telemetry; and the checkpoint is in a folder by then, so nothing is asked of a hub."""


def add_serve(add: Callable[..., object]) -> None:
    """Add the options of `serve`, but for `--model` and `--revision`."""
    add("--host", default=LOOPBACK, help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    add("--dtype", default="float32", choices=DTYPES, help="of weights and cache")
    add("--device", default="cpu", help="cpu, gpu or gpu:N (default: %(default)s)")
    add("--max-batch-size", type=int, default=BATCH, help="requests at once (%(default)s)")
    add("--name", help="the model's name in requests (default: what --model says)")
    add("--verbose", action="store_true", help="show all that MAX Serve logs")
    add("more", nargs="*", metavar="-- OPTION", help="further options of `max serve`")


def serve(arguments: argparse.Namespace) -> NoReturn:
    """Serve until a signal comes, which ends the program as `reports.commands` has it.

    Raises:
        UsageError: for an address that cannot be had, or where MAX Serve does not start.
        CheckpointError: for a checkpoint that cannot be used.
    """
    from impl.runtime import check_device
    from reference.load import load

    if arguments.max_batch_size < 1:
        raise UsageError("--max-batch-size must be at least 1")
    if arguments.dtype == "bfloat16" and arguments.device == "cpu":
        raise UsageError("MAX Serve computes bfloat16 on a GPU alone: on a CPU give float32")
    port = _free(arguments.host, arguments.port)
    checkpoint = load(arguments.model, revision=arguments.revision)
    for note in checkpoint.notes:
        print(f"{checkpoint.name}: {note}", file=sys.stderr)
    check_device(arguments.device)
    with ExitStack() as stack:
        folder = servable(checkpoint) or written(checkpoint, stack)
        name = arguments.name or arguments.model
        words = _words(arguments, folder, port, name)
        with terminable(), _running(words, verbose=arguments.verbose) as server:
            url = f"http://{arguments.host}:{port}"
            server.wait_for(url)
            server.shows_trouble = True
            print(ready_line(url, name, checkpoint), flush=True)
            server.wait()
    raise UsageError(server.how_it_ended())


def ready_line(url: str, name: str, checkpoint: Checkpoint) -> str:
    """What is printed once it answers, with a request to paste."""
    prompt: Any = "In the beginning" if checkpoint.folder else [1, 2, 3]
    body = {"model": name, "prompt": prompt, "max_tokens": 20, "temperature": 0}
    return (
        f"Ready: {url}  (Ctrl-C stops it)\n\n"
        f"curl {url}/v1/completions -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(body)}'\n"
    )


def _free(host: str, port: int) -> int:
    """The port, or one that nothing listens on for 0."""
    try:
        with socket.create_server((host, port)) as listener:
            return int(listener.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error}") from None


def servable(checkpoint: Checkpoint) -> Path | None:
    """The checkpoint's own folder, where MAX Serve can read it as it stands."""
    folder = checkpoint.folder
    if folder is None or checkpoint.notes or not any(folder.glob("*.safetensors")):
        return None
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return folder if config.get("architectures") == ["GPT2LMHeadModel"] else None


def written(checkpoint: Checkpoint, stack: ExitStack) -> Path:
    """A folder for as long as the server runs: weights as they were loaded, and a tokenizer."""
    from reference.folders import write_checkpoint

    folder = Path(stack.enter_context(TemporaryDirectory(prefix="serve-")))
    write_checkpoint(folder, checkpoint.config, checkpoint.weights, checkpoint.folder)
    if not checkpoint.folder:
        _write_numbers(checkpoint.config.vocab_size, folder)
    return folder


def _write_numbers(vocab_size: int, folder: Path) -> None:
    """A tokenizer whose texts are the token ids themselves, `12 7 3`, for weights without one.

    The last id ends a text, as in GPT-2: MAX Serve does not start without one.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {str(number): number for number in range(vocab_size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="0"))  # noqa: S106 - a token of a text
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    end = {"eos_token": str(vocab_size - 1)}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind | end))


def _words(arguments: argparse.Namespace, folder: Path, port: int, name: str) -> list[str]:
    """The command line of `max serve`."""
    options = {
        "--custom-architectures": PACKAGE,
        "--model": folder,
        "--served-model-name": name,
        "--host": arguments.host,
        "--port": port,
        "--devices": arguments.device,
        "--quantization-encoding": arguments.dtype,
        "--max-batch-size": arguments.max_batch_size,
    }
    given = [str(word) for option in options.items() for word in option]
    return ["serve", *given, *arguments.more]


class Running:
    """MAX Serve as a process.

    Args:
        words: of its command line.
        verbose: whether all of its log is shown.

    Attributes:
        shows_trouble: whether lines of its log that are not routine are shown. Before it answers
            they are not: a sentence says why it does not.
    """

    def __init__(self, words: Sequence[str], *, verbose: bool) -> None:
        command = [sys.executable, "-P", "-m", "impl.serving.launch", str(os.getpid()), *words]
        beside = {"MAX_SERVE_METRICS_ENDPOINT_PORT": str(_free(LOOPBACK, 0))}
        environment = {**QUIET, **beside, **os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(PACKAGE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        self.shows_trouble = False
        self._verbose = verbose
        self._last: deque[str] = deque(maxlen=KEPT_LINES)
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=environment, start_new_session=True, text=True, errors="replace",
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, url: str) -> None:
        """Wait until it answers.

        Raises:
            UsageError: where it ends before.
        """
        while not _answers(f"{url}/health"):
            if self._process.poll() is not None:
                raise UsageError(self.how_it_ended())
            time.sleep(LOOK_EVERY_S)

    def wait(self) -> None:
        """Wait until it ends."""
        self._process.wait()

    def stop(self) -> None:
        """End it and what it has started; requests that are open have some seconds."""
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            self._process.terminate()
            self._process.wait(GRACE_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def how_it_ended(self) -> str:
        """A sentence, with the last of its log that is an error."""
        self._reader.join(timeout=1)
        said = [line for line in self._last if is_error(line)] or [*self._last]
        code = self._process.wait()
        return f"MAX Serve ended with exit {code}" + (f": {said[-1]}" if said else "")

    def _read(self) -> None:
        for line in self._process.stdout or ():
            if stripped := line.strip():
                self._last.append(stripped)
            if self._verbose or (self.shows_trouble and stripped and not is_routine(stripped)):
                print(line, end="", file=sys.stderr, flush=True)


@contextmanager
def _running(words: Sequence[str], *, verbose: bool) -> Iterator[Running]:
    server = Running(words, verbose=verbose)
    try:
        yield server
    finally:
        server.stop()


def is_routine(line: str) -> bool:
    """Whether a line of MAX's log is of no use to who only wants the server."""
    return " INFO:" in line or " DEBUG:" in line or "Server ready" in line or set(line) == {"*"}


def is_error(line: str) -> bool:
    """Whether a line of the log says what went wrong."""
    return "Error" in line or " ERROR:" in line or " CRITICAL:" in line


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - of the server here
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def _become_max(parent: int, words: Sequence[str]) -> None:
    """Turn this process into `max`, which ends where the one that started it does."""
    end_with_parent(parent)
    beside = Path(sysconfig.get_path("scripts")) / "max"
    program = str(beside) if beside.is_file() else shutil.which("max")
    if program is None:
        sys.exit("ERROR: the command `max` is not there: pip install modular")
    os.execv(sys.executable, [sys.executable, program, *words])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    _become_max(int(sys.argv[1]), sys.argv[2:])
