"""`python -m verify places`: what a verification compares, a line each, in order of execution.

For a GPT-2 nothing but its configuration is read, and neither MAX nor torch imported: the names
come from a pass of the oracle through a model of the same blocks that is as small as can be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reference.checkpoint import Checkpoint, CheckpointError
from reference.load import config_of
from reference.oracle import Oracle
from reference.regimes import initial_weights
from reports.commands import Parser, cannot_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impl.config import GPT2Config

ONE_TOKEN = np.zeros((1, 1), np.int64)


def main(argv: Sequence[str]) -> int:
    """Print them; 2 where there is no such checkpoint."""
    parser = Parser(
        prog="python -m verify places",
        description="Print the places that a verification compares, in their order, a line each.",
    )
    parser.add_argument("--model", default="tiny", help="as in python -m verify")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--reference", metavar="hf:FOLDER", help="as in python -m verify")
    options = parser.parse_args(argv)
    try:
        if options.reference:
            places = places_of_decoder(options.reference.removeprefix("hf:"))
        else:
            places = places_of_gpt2(config_of(options.model, revision=options.revision))
    except CheckpointError as error:
        return cannot_run("verify", error)
    print("\n".join(places))
    return 0


def places_of_gpt2(config: GPT2Config) -> list[str]:
    """The taps of a GPT-2, in order of execution."""
    small = replace(config, vocab_size=1, n_positions=1, n_embd=config.n_head, n_inner=1)
    checkpoint = Checkpoint(name="places", config=small, weights=initial_weights(small, 0))
    return list(Oracle(checkpoint).trace(ONE_TOKEN))


def places_of_decoder(folder: str) -> list[str]:
    """The taps of a decoder of transformers, in order of execution; torch is imported for it.

    Raises:
        CheckpointError: where transformers cannot read it.
    """
    from reference.decoder import Decoder, load_decoder

    return list(Decoder(load_decoder(folder)).trace(ONE_TOKEN))
