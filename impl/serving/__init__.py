"""The GPT-2 of `impl.model` as MAX Serve runs it: an architecture package.

    python -m impl serve --model tiny
    max serve --custom-architectures impl/serving --model FOLDER_OR_HUB

    max_interfaces  everything of MAX Serve that is used here, imported in one place
    served_config   sizes, read from Hugging Face's config.json, and the paged cache's
    adapter         a checkpoint laid out as the model holds it
    checked_tokenizer  prompts that are looked at before the model sees them
    paged_model     the modules: those of `impl.model`, over ragged tokens and a paged cache
    pipeline        batches in, logits out
    architecture    all of it, under Hugging Face's name
    launch          `python -m impl serve`: MAX Serve started, announced and stopped

`--custom-architectures` imports this folder as a package of its own name, with its parent on the
path; the folder above that, which has `impl`, is put there here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ != "impl.serving":
    sys.path.append(str(Path(__file__).parents[2]))

if TYPE_CHECKING:
    from .max_interfaces import SupportedArchitecture


def __getattr__(name: str) -> list[SupportedArchitecture]:
    """`ARCHITECTURES`, which MAX Serve looks for; the launcher does without, and without MAX."""
    if name != "ARCHITECTURES":
        raise AttributeError(name)
    from .architecture import gpt2

    return [gpt2]
