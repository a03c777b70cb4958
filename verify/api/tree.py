"""The words of `max-parity`, in a line each.

They are those of `python -m verify`, `bench`, `reports`, `impl` and `reference`, which a test holds
against the tables there: these processes are not started to list them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TREE = {
    "verify": {
        "": "is a model in MAX the same model as PyTorch's, layer by layer?",
        "learn": "build a GPT-2 of your own, step by step, checked at each save",
        "step": "one of the steps of building a GPT-2, alone",
        "steps": "which of the steps in a folder are done",
        "training": "every checkpoint of a fine-tuning, by one program",
        "package": "an architecture package of MAX Serve, built in or your own",
        "zoo": "every text architecture that is built into MAX",
        "endpoint": "a running server: does it answer as the model would?",
        "places": "the places that a verification compares, a line each",
        "diff": "two runs: what broke, what was mended, which places changed",
        "reduce": "the smallest graph that MAX computes wrongly, as a file",
        "replay": "a run judged again: does its verdict still hold?",
        "campaign": "many random cases: false alarms, and faults caught",
        "rules": "this rule and published ones on the same faults",
        "wrong": "how good the check of each step is",
    },
    "bench": {
        "": "how fast is it? Arms that take turns, beside PyTorch",
        "serve": "a load on servers: latencies, throughput, the knee, every answer checked",
        "compare": "two runs: is the second slower? exit 1 if it is",
        "finish": "rows and a page for a run that was killed",
        "null": "how often equal code is called different on this machine",
        "ceilings": "what this machine can read and multiply at most",
        "scaling": "sweep sizes, and fit what a pass costs",
        "sweep": "models x dtypes x sizes x threads, here or on a cluster's machines",
        "machines": "what each machine can do at most, and the same short run on each",
        "peers": "install the runtimes that MAX is compared with, in an environment apart",
        "env": "what about this machine will spoil a measurement",
        "gpu": "verify and bench on an NVIDIA GPU, all of it",
        "tiles": "verify and bench on a CPU with AMX, all of it",
    },
    "reports": {
        "": "pages and tables of runs again",
        "table": "print one table of saved runs: by layer, kind, fault, row, sample, ...",
        "export": "speeds of benchmarks for github-action-benchmark",
        "index": "the page over all runs",
        "compare": "a page with two runs next to each other",
        "annotate": "what a CI shows beside your source: file, line and message",
        "publish": "tables and figures of runs, to be committed",
        "schema": "the JSON Schema of records or of what --json writes",
    },
    "impl": {
        "generate": "continue a text with this project's GPT-2 in MAX",
        "demo": "a forward pass checked, attention, three texts, speed",
        "info": "sizes, hash and devices of a checkpoint",
        "serve": "answer OpenAI's requests over HTTP, by MAX Serve",
        "choose": "measure which kernels are the fastest here, and keep it",
    },
    "reference": {
        "convert": "a checkpoint folder of what nanoGPT or llm.c saved",
        "train": "train the embedded checkpoint anew",
        "finetune": "a GPT-2 trained further on a text of your own, whole or by LoRA",
    },
}
"""By command its words; "" is what it does where none is named."""

HEAD = """\
usage: max-parity COMMAND ...

Is your model in MAX the same as PyTorch's, and is it fast? `max-parity COMMAND --help` says more.
"""


def full(words: Sequence[str]) -> list[str]:
    """A command line with its command in front; empty where there is no such command.

    A word of `verify` may stand alone: `max-parity diff A B` is `max-parity verify diff A B`.
    """
    if words[0] in TREE:
        return list(words)
    return ["verify", *words] if words[0] in TREE["verify"] else []


def as_text() -> str:
    """All of it, for the terminal."""
    names = {
        f"{command} {word}".strip(): line
        for command, words in TREE.items()
        for word, line in words.items()
    }
    width = max(map(len, names))
    return "\n".join([HEAD, *(f"  {name:<{width}}  {line}" for name, line in names.items())])
