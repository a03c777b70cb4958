"""An engine in a process of its own: it takes a turn for each line that it reads.

    python -m impl.choosing.contender KERNELS MODEL

It prints a line of JSON once it is ready, with what runs, or with an `error`; then, for each line
`decode N` or `prefill N` on stdin, the seconds that it took, of the fastest of a few repetitions.
Two sessions of MAX in one process would share threads, and each would slow down the other.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from impl.engine import Engine, EngineError
from reference.load import load

REPEATED = 5
"""Times a turn is taken; the fastest counts, as what disturbs a program only makes it slower."""


def main() -> None:
    """Build, then answer until stdin ends."""
    kernels, model = sys.argv[1:]
    checkpoint = load(model)
    try:
        engine = Engine(checkpoint.config, checkpoint.weights, kernels=kernels)
    except EngineError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    print(json.dumps({"path": engine.kernel_path}), flush=True)
    for line in sys.stdin:
        what, count = line.split()
        print(seconds(engine, what, int(count)), flush=True)


def seconds(engine: Engine, what: str, count: int) -> float:
    """Of a prompt of `count` tokens, or of a decode step after as many; the fastest."""
    vocabulary = engine.config.vocab_size
    prompt = np.random.default_rng(0).integers(0, vocabulary, (1, count))
    if what == "decode":
        engine.reset()
        engine.prefill(prompt)
    found = []
    for _ in range(REPEATED):
        if what == "prefill":
            engine.reset()
        start = time.perf_counter()
        if what == "prefill":
            engine.prefill(prompt)
        else:
            engine.decode(np.array([1]))
        found.append(time.perf_counter() - start)
    return min(found)


if __name__ == "__main__":
    main()
