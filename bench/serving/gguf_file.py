"""`python -m bench.serving.gguf_file MODEL [REVISION]`: a checkpoint for llama.cpp's server.

Runs in the peers' environment, and prints where the file lies. It is kept as the peers' other
conversions are (`bench.arms.caches`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.arms import llama_cpp
from bench.arms.caches import converted
from reference.load import load


def main() -> int:
    """Convert where that was not done before."""
    model, *rest = sys.argv[1:]
    checkpoint = load(model, revision=rest[0] if rest else None)
    sources = [Path(__file__), Path(llama_cpp.__file__)]
    folder, _ = converted(
        checkpoint, "gguf-tokenizer", sources,
        lambda to: llama_cpp.write_gguf(checkpoint, to / llama_cpp.FILE, tokenizer=True),
    )  # fmt: skip
    print(folder / llama_cpp.FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
