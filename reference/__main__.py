"""The command line: `python -m reference train`, `finetune`, `convert`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reports.commands import Parser, cannot_run
from reports.program import as_program

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "train": "make the embedded checkpoint anew",
    "finetune": "train a GPT-2 further on a text of your own, whole or by LoRA",
    "convert": "make a checkpoint folder of what nanoGPT or llm.c saved, or of one without biases",
}


def main(argv: Sequence[str]) -> int:
    """Run the command line, and return the exit code."""
    parser = Parser(prog="python -m reference", description="Ground truth.")
    told = "; ".join(f"{name}: {what}" for name, what in COMMANDS.items())
    parser.add_argument("command", choices=list(COMMANDS), help=told)
    parser.parse_args(argv[:1])
    if argv[0] == "train":
        from reference import train  # torch, which a mistake need not wait for

        return train.main(argv[1:])
    if argv[0] == "finetune":
        from reference.finetuning import command

        return command.main(argv[1:])
    from reference import convert
    from reference.checkpoint import CheckpointError

    try:
        return convert.main(argv[1:])
    except CheckpointError as error:
        return cannot_run("reference", error)


if __name__ == "__main__":
    sys.exit(as_program("reference", main))
