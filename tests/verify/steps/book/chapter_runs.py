"""Runs chapters, each in a process of its own that begins with what most of them import.

    python -m tests.verify.steps.book.chapter_runs        # a file's name a line; an answer a line

Importing torch and transformers takes seconds, and a fork none. No chapter gets a socket to another
machine.
"""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[4]
BOOK = ROOT / "verify" / "steps" / "book"
AT_MOST_S = 900
"""A chapter that hangs is ended."""

COMMON = (
    "matplotlib.pyplot",
    "torch",
    "transformers.models.gpt2.modeling_gpt2",
    "reference.oracle",
    "verify.steps.book.shared.pictures",
)
"""What most chapters import."""

LOOPBACK = {"127.0.0.1", "::1", "localhost", None, ""}


def chapters():
    """The files, in order."""
    return sorted(BOOK.glob("ch[0-9][0-9]_*.py"))


def cells(file):
    """Each cell of a percent file: its tags, or None for Markdown, and its text."""
    parts = re.split(r"^# %%(.*)\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for head, text in zip(parts[::2], parts[1::2], strict=True):
        if "[markdown]" in head:
            yield None, re.sub(r"^# ?", "", text, flags=re.MULTILINE)
        else:
            tags = re.search(r"tags=(\[.*\])", head)
            yield json.loads(tags[1]) if tags else [], text


class NetworkError(OSError):
    """A chapter asked another machine."""


def no_network(event, arguments):
    """An audit hook that refuses all but loopback."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in LOOPBACK:
        raise NetworkError(f"the network was asked for {host}")


def run(file):
    """Run a chapter in this process, and return what became of it."""
    sys.addaudithook(no_network)
    signal.alarm(AT_MOST_S)
    error, began = None, time.perf_counter()
    with tempfile.TemporaryDirectory() as pictures, Path(os.devnull).open("w") as nowhere:
        os.environ["BOOK_PICTURES"] = pictures
        try:
            with redirect_stdout(nowhere):
                runpy.run_path(file, run_name="__main__")
        except BaseException:
            error = traceback.format_exc()
        drawn = len(list(Path(pictures).iterdir()))
    from verify.steps.book.shared.exercises import EXERCISES

    return {
        "error": error,
        "seconds": time.perf_counter() - began,
        "pictures": drawn,
        "exercises": {name: asdict(exercise) for name, exercise in EXERCISES.items()},
    }


def forked(file):
    """The same in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(writing, "w") as answer:
            answer.write(json.dumps(run(file)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return text or json.dumps({"error": f"the process ended with {ended} and without a word"})


@contextmanager
def runner():
    """A function that runs a chapter, by one process of those above."""
    names = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.verify.steps.book.chapter_runs"],
        cwd=ROOT, env={**os.environ, **names, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def ask(file):
        process.stdin.write(f"{file}\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    try:
        yield ask
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(30)
        process.stdout.close()


def main():
    """Import what is large and has no threads of its own, and answer until the input ends."""
    for name in COMMON:
        import_module(name)
    for line in sys.stdin:
        print(forked(line.strip()), flush=True)


if __name__ == "__main__":
    main()
