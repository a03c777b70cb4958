"""`python -m reference finetune`: a GPT-2 trained further on a text of one's own, in PyTorch.

    python -m reference finetune --text notes.txt                        all parameters of tiny
    python -m reference finetune --text notes.txt --lora 8 --out mine    adapters of rank 8
    python -m reference finetune --resume mine                           after an interruption

Afterwards every checkpoint is verified in MAX, by one compiled program (`python -m verify training
FOLDER`), unless `--no-verify` says otherwise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.checkpoint import CheckpointError, weights_sha256
from reference.finetuning.own_text import (
    TextError,
    check_lengths,
    encoded,
    first_words,
    load_tokenizer,
    read_text,
)
from reference.finetuning.settings import FULL_RATE, LORA_RATE, TARGETS, Settings
from reference.load import load
from reports.commands import (
    Parser,
    UsageError,
    as_called,
    cannot_run,
    exit_code_of,
    how_stopped,
    terminable,
)
from reports.saved.records import RecordsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference.checkpoint import Checkpoint
    from reference.finetuning.kept import Record
    from reference.finetuning.own_text import OwnText
    from reference.finetuning.tuned import Tuning

DEFAULT_OUT = Path("finetuned")
LONGEST = 256
"""Tokens of a window where `--length` is not given, or the model's positions if they are fewer."""

RESUMED = ("resume", "verify")
"""Options that go together with `--resume`."""


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: what follows `finetune` on the command line.

    Returns:
        0, or what verifying the checkpoints returns; 2 where training could not start or diverged;
        130 after Ctrl-C.
    """
    options = _parser().parse_args(argv)
    out: Path = options.resume or options.out
    try:
        with terminable():
            _train(options, out)
    except (CheckpointError, TextError, UsageError, RecordsError) as error:
        return cannot_run("reference", error)
    except OSError as error:
        return cannot_run("reference", f"{out} cannot be written: {error.strerror or error}")
    except KeyboardInterrupt as stop:
        print(f"reference: {how_stopped(stop)}; {_where(out)}", file=sys.stderr)
        return exit_code_of(stop)
    return _verified(out) if options.verify else _told(out)


def _train(options: argparse.Namespace, out: Path) -> None:
    """Check what was asked for, cheapest first; then train."""
    record = _asked(options, out)
    settings = record.settings
    text = read_text(Path(settings.text), settings.held_out)
    if record.facts and record.facts["text"]["sha256"] != text.sha256:
        raise TextError(f"{text.file} is not what it was when training began")
    source = load(settings.model, revision=settings.revision)
    tuning = _tuning(record, source, text, out, fresh=options.resume is None)
    with tuning.told:
        tuning.run()


def _asked(options: argparse.Namespace, out: Path) -> Record:
    """A new record of what the options say, or that of the folder which is continued."""
    from reference.finetuning import kept

    if options.resume is None:
        if options.text is None:
            raise UsageError("--text FILE is needed: the text to train on")
        kept.check_new(out)
        return kept.Record(Settings.of(vars(options)))
    default = _parser().parse_args(["--resume", str(out)])
    for name, value in vars(options).items():
        if name not in RESUMED and value != getattr(default, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} cannot be changed by --resume: it goes on as it began")
    record = kept.read_record(out)
    if record.finished:
        raise UsageError(f"nothing to continue: {out} has all {record.settings.steps} steps")
    return record


def _tuning(record: Record, source: Checkpoint, text: OwnText, out: Path, *, fresh: bool) -> Tuning:
    """Everything that is trained with, from the beginning or from the newest checkpoint."""
    from reference.finetuning import adapters, kept

    settings = record.settings
    length = _length(settings, source)
    adapters.check_rank(settings, source.config)
    tokenizer = load_tokenizer(source.name, source.folder, source.config)
    training, validation = (encoded(tokenizer, part) for part in (text.training, text.validation))
    check_lengths(text, len(training), len(validation), length)
    if fresh:
        kept.check_room(out, source.config, settings.checkpoints + 1)
        record.facts = {
            **_facts(settings, source, length),
            "prompt": _prompt(settings, text, tokenizer, source),
            "text": {
                "file": str(text.file), "sha256": text.sha256,
                "training_tokens": len(training), "validation_tokens": len(validation),
            },
        }  # fmt: skip
    return _started(record, source, out, tokenizer, training, validation, length, fresh=fresh)


def _started(
    record: Record, source: Checkpoint, out: Path, tokenizer: Any, training: Any, validation: Any,
    length: int, *, fresh: bool,
) -> Tuning:  # fmt: skip
    import torch

    from reference.finetuning import adapters, kept
    from reference.finetuning.told import Told
    from reference.finetuning.tuned import Tuning
    from reference.huggingface import load_model

    settings = record.settings
    if settings.threads:
        torch.set_num_threads(settings.threads)
    folder, state = (None, None) if fresh else kept.newest_state(out)
    adapted = settings.lora is not None
    begun = load(str(folder)) if folder and not adapted else source
    model = load_model(begun, torch.float32)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = settings.dropout
    if adapted:
        model = adapters.with_adapters(model, settings, str(source.folder))
    if fresh:
        parameters = [p for p in model.parameters() if p.requires_grad]
        record.facts["trained_parameters"] = sum(p.numel() for p in parameters)
    told = Told(settings.steps, int(state["step"]) if state else 0, settings.batch_size * length)
    tuning = Tuning(
        source, model, tokenizer, training=training, validation=validation,
        former=_former(source, tokenizer), length=length, record=record, out=out, told=told,
    )  # fmt: skip
    if state is not None:
        tuning.resume(state)
    told.line(_introduction(record, out, tuning.step))
    return tuning


def _length(settings: Settings, source: Checkpoint) -> int:
    most = source.config.n_positions
    length = min(LONGEST, most) if settings.length is None else settings.length
    if length > most:
        raise UsageError(f"--length {length}: {source.name} has {most} positions")
    return length


def _prompt(settings: Settings, text: OwnText, tokenizer: Any, source: Checkpoint) -> str:
    prompt = first_words(text.validation[0]) if settings.prompt is None else settings.prompt
    count = len(tokenizer(prompt).input_ids)
    if not 0 < count < source.config.n_positions:
        raise UsageError(
            f"--prompt has {count} tokens; 1 to {source.config.n_positions - 1} can be continued"
        )
    return prompt


def _facts(settings: Settings, source: Checkpoint, length: int) -> dict[str, Any]:
    """What `training.json` says of where it began."""
    from reference.card import versions

    return {
        "source": {"name": source.name, "sha256": weights_sha256(source.weights)},
        "parameters": source.config.parameter_count,
        "learning_rate": settings.peak,
        "length": length,
        "versions": versions(),
    }


def _former(source: Checkpoint, tokenizer: Any) -> Any:
    """The text that was held out when the source itself was trained, encoded, if it is there."""
    file = source.folder / "heldout.txt" if source.folder else None
    if file is None or not file.is_file():
        return None
    return encoded(tokenizer, [file.read_text(encoding="utf-8")])


def _introduction(record: Record, out: Path, step: int) -> str:
    settings, facts = record.settings, record.facts
    how = "all parameters" if settings.lora is None else f"LoRA of rank {settings.lora}"
    whence = f"goes on after step {step}" if step else f"{settings.steps} steps"
    return (
        f"{settings.model} on {settings.text}: {how}, {facts['trained_parameters']:,} of "
        f"{facts['parameters']:,} trained, {whence}; "
        f"{facts['text']['training_tokens']:,} tokens to train on, "
        f"{facts['text']['validation_tokens']:,} held out; to {out}"
    )


def _where(out: Path) -> str:
    """What is kept after an interruption, and how to go on."""
    from reference.finetuning.kept import PREFIX, RECORD, STATE

    kept = sorted(out.glob(f"{PREFIX}*/{STATE}"))
    if not kept or not (out / RECORD).is_file():
        return "no checkpoint was kept yet"
    again = as_called(f"python -m reference finetune --resume {out}")
    return f"the last checkpoint is {kept[-1].parent}; go on with: {again}"


def _verify_line(out: Path) -> str:
    return as_called(f"python -m verify training {out}")


def _told(out: Path) -> int:
    """Say what can be done with the result."""
    print(f"Verify every checkpoint in MAX: {_verify_line(out)}")
    print(as_called(f"Generate with it: python -m impl generate --model {out} PROMPT"))
    return 0


def _verified(out: Path) -> int:
    """Verify every checkpoint in MAX, in a process that has no PyTorch model in its memory."""
    print(_verify_line(out), flush=True)
    command = [sys.executable, "-m", "verify", "training", str(out)]
    code = subprocess.run(command, env=os.environ, check=False).returncode
    print(as_called(f"Generate with it: python -m impl generate --model {out} PROMPT"))
    return code


def _parser() -> argparse.ArgumentParser:
    default = Settings(model="", text="")
    parser = Parser(
        prog="python -m reference finetune",
        description="Train a GPT-2 further on a text of your own, whole or by LoRA, in PyTorch.",
    )
    add = parser.add_argument
    add("--model", default="tiny", help="tiny (default), a folder, or a hub id")
    add("--revision", help="branch, tag or commit on the hub")
    add("--text", metavar="FILE", help="what to train on, in UTF-8")
    add("--lora", type=_natural, metavar="R", help="train adapters of this rank alone")
    add("--lora-alpha", type=_positive, metavar="A", help="their scale is A / R (A = 2 R)")
    targets = ",".join(TARGETS)
    add("--lora-targets", type=_targets, default=TARGETS, metavar="L,L", help=f"({targets})")
    add("--out", type=Path, default=DEFAULT_OUT, help="folder to make (finetuned)")
    add("--resume", type=Path, metavar="FOLDER", help="go on with one that was interrupted")
    add("--steps", type=_natural, default=default.steps, help="(%(default)s)")
    add("--batch-size", type=_natural, default=default.batch_size, help="windows a step (8)")
    add("--length", type=_natural, help=f"tokens of a window ({LONGEST}, or all positions)")
    rates = f"at its peak ({FULL_RATE:g}; {LORA_RATE:g} of adapters)"
    add("--learning-rate", type=_positive, metavar="RATE", help=rates)
    add("--warm-up", type=_share, default=default.warm_up, metavar="SHARE", help="of steps (0.1)")
    add("--dropout", type=_share, default=default.dropout, metavar="P", help="(0)")
    add("--held-out", type=_held_out, default=default.held_out, metavar="SHARE",
        help="of the text, for the validation loss (0.1)")  # fmt: skip
    add("--checkpoints", type=_natural, default=default.checkpoints, metavar="N",
        help="to keep, besides the model as it was (5)")  # fmt: skip
    add("--seed", type=_seed, default=default.seed, help="(0)")
    add("--threads", type=_natural, help="of PyTorch")
    add("--prompt", help="of the samples (the first words of the held-out text)")
    add("--sample-tokens", type=_natural, default=default.sample_tokens, help="(%(default)s)")
    add("--verify", action=argparse.BooleanOptionalAction, default=True,
        help="verify every checkpoint in MAX afterwards")  # fmt: skip
    return parser


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^31 - 1")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _positive(text: str) -> float:
    number = _number(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _share(text: str) -> float:
    number = _number(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return number


def _held_out(text: str) -> float:
    number = _number(text)
    if not 0 < number <= 0.5:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 0.5")
    return number


def _targets(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in TARGETS]:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is not a linear layer of GPT-2: {', '.join(TARGETS)}"
        )
    return names
