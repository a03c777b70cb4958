"""The command line: `python -m impl` with `generate`, `demo`, `info`, `serve` or `choose`.

Text goes to stdout, everything else to stderr. Exit codes: 0, 2 with one sentence where something
that was asked for cannot be done, 130 after Ctrl-C, 141 where the reader closed the pipe.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

from impl.choosing.measure import add_choose, choose_here
from impl.compiling import announced_to
from impl.demo.tour import add_demo, demo
from impl.interrupt import interruptible
from impl.serving.launch import add_serve, serve
from reports.commands import INTERRUPTED, Parser, UsageError, cannot_run
from reports.program import as_program
from reports.waiting import Waiting, print_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from impl.generate import Tally
    from impl.next_token import NextToken
    from impl.sampling import Sampler
    from impl.tokenizer import Tokenizer
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


# Errors that are sentences for the user. Looked up in the modules that are loaded by then, so that
# `--help` and early mistakes do not wait for MAX.
_TOLD = (
    ("impl.config", "ConfigError"),
    ("impl.engine", "EngineError"),
    ("impl.precompile", "KernelError"),
    ("impl.runtime", "DeviceError"),
    ("impl.runtime", "InputError"),
    ("impl.sampling", "SamplingError"),
    ("impl.tokenizer", "TokenizerError"),
    ("impl.weights", "WeightsError"),
    ("reference.checkpoint", "CheckpointError"),
    ("reports.saved.records", "RecordsError"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except _told_errors() as error:
        return cannot_run("impl", error)


def _told_errors() -> tuple[type[Exception], ...]:
    loaded = sys.modules
    return UsageError, *(getattr(loaded[name], error) for name, error in _TOLD if name in loaded)


def _generate(arguments: argparse.Namespace) -> int:
    """Continue a prompt, once everything that was asked for is known to be possible."""
    sampler, given = _sampler(arguments), _given(arguments)
    import numpy as np

    from impl.generate import check_prompt
    from impl.runtime import check_device
    from reference.load import load

    check_device(arguments.device)
    checkpoint = load(arguments.model, revision=arguments.revision)
    for note in checkpoint.notes if arguments.stats else ():
        print(f"{checkpoint.name}: {note}", file=sys.stderr)
    tokenizer = _tokenizer(checkpoint) if isinstance(given, str) else None
    ids = tokenizer.encode(given) if tokenizer and isinstance(given, str) else given
    prompt = check_prompt(checkpoint.config, np.array([ids]), arguments.max_new_tokens)
    _continue(_compiled(checkpoint, arguments), prompt, tokenizer, sampler, arguments)
    return 0


def _sampler(arguments: argparse.Namespace) -> Sampler:
    """With a seed that can be told, so that every run can be repeated."""
    from impl.sampling import Sampler

    seed = int.from_bytes(os.urandom(4)) if arguments.seed is None else arguments.seed
    temperature = 0.0 if arguments.greedy else arguments.temperature
    return Sampler(temperature, arguments.top_k, arguments.top_p, seed)


def _given(arguments: argparse.Namespace) -> str | list[int]:
    """The prompt: a text, or the numbers of `--ids`."""
    if (arguments.prompt is None) == (arguments.ids is None):
        raise UsageError("give either a prompt or --ids")
    if arguments.ids is None:
        text = _standard_input() if arguments.prompt == "-" else str(arguments.prompt)
        if not text:
            raise UsageError("the prompt is empty: the model needs at least one token")
        return text
    if arguments.stop:
        raise UsageError("--stop looks for text, and --ids gives none")
    try:
        return [int(number) for number in arguments.ids.split(",")]
    except ValueError:
        raise UsageError(f"--ids takes numbers as in 1,2,3, not {arguments.ids!r}") from None


def _standard_input() -> str:
    """All of stdin, without the newline that ends its last line."""
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"stdin is not UTF-8 at byte {error.start}") from None


def _tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    from impl.tokenizer import Tokenizer

    if checkpoint.folder is None:
        raise UsageError(f"{checkpoint.name} has no tokenizer: give token ids, as in --ids 1,2,3")
    return Tokenizer.load(checkpoint.folder, model_vocab_size=checkpoint.config.vocab_size)


def _compiled(checkpoint: Checkpoint, arguments: argparse.Namespace) -> NextToken:
    build = _engine if arguments.cache else _whole_sequence
    announced = announced_to(Waiting(print_line)) if arguments.stats else nullcontext()
    try:
        with announced:
            return build(checkpoint, arguments)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)  # a normal end would wait for the compiler


def _engine(checkpoint: Checkpoint, arguments: argparse.Namespace) -> NextToken:
    from impl.engine import Engine

    options = {"dtype": arguments.dtype, "kernels": arguments.kernels}
    return Engine(checkpoint.config, checkpoint.weights, arguments.device, **options)


def _whole_sequence(checkpoint: Checkpoint, arguments: argparse.Namespace) -> NextToken:
    from impl.next_token import WholeSequence

    return interruptible(
        lambda: WholeSequence(checkpoint.config, checkpoint.weights, arguments.device)
    )


def _continue(
    model: NextToken,
    prompt: Array,
    tokenizer: Tokenizer | None,
    sampler: Sampler,
    arguments: argparse.Namespace,
) -> None:
    """Print the prompt, its continuation, and what it took."""
    from impl.generate import Tally, generate, text_pieces

    eos = tokenizer.eos_token_id if tokenizer else None
    steps = generate(
        model,
        prompt,
        max_new_tokens=arguments.max_new_tokens,
        sampler=sampler,
        stop_tokens=() if eos is None else (eos,),
    )
    tally, start_s = Tally(), time.perf_counter()
    if tokenizer:
        begin = tokenizer.decode(prompt[0].tolist())
        pieces = text_pieces(tally.watch(steps), tokenizer, arguments.stop)
    else:
        begin = ",".join(map(str, prompt[0]))
        pieces = (f",{step.tokens[0]}" for step in tally.watch(steps))
    _write(chain([begin], pieces), stream=arguments.stream)
    if arguments.stats:
        duration_s = time.perf_counter() - start_s
        print(_speeds(tally, prompt.shape[1], model), file=sys.stderr)
        print(_summary(tally, duration_s, arguments, sampler), file=sys.stderr)


def _write(pieces: Iterable[str], *, stream: bool) -> None:
    """Print the pieces as they come, or all of them in the end."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for terminals that cannot show every character
    for piece in pieces if stream else ["".join(pieces)]:
        print(piece, end="", flush=stream)
    print(flush=True)


def _summary(
    tally: Tally, duration_s: float, arguments: argparse.Namespace, sampler: Sampler
) -> str:
    seed = f", seed {sampler.seed}" if sampler.temperature else ", greedy"
    return (
        f"{tally.tokens} tokens in {duration_s:.2f} s, {tally.tokens / duration_s:.1f} tokens/s "
        f"on {arguments.device}{seed}; ended because {tally.finish or 'a stop text came'}"
    )


def _speeds(tally: Tally, prompt_tokens: int, model: NextToken) -> str:
    """Tokens per second, sampling included: until the first new token, and from there on."""
    path = getattr(model, "kernel_path", "no cache")
    if not tally.tokens:
        return path
    parts = [f"prefill {prompt_tokens} tokens, {prompt_tokens / tally.prefill_s:.1f} tokens/s"]
    if rest := tally.tokens - 1:
        parts.append(f"decode {rest} tokens, {rest / tally.decode_s:.1f} tokens/s")
    return "; ".join([*parts, path])


def _info(arguments: argparse.Namespace) -> int:
    """Tell what a checkpoint is, and the devices that MAX finds."""
    from impl.runtime import device_names
    from reference.load import load

    checkpoint = load(arguments.model, revision=arguments.revision)
    lines = {"model": checkpoint.name, **asdict(checkpoint.config)}
    lines["n_inner"] = checkpoint.config.inner_dim
    lines["parameters"] = checkpoint.config.parameter_count
    lines["weight_bytes"] = sum(array.nbytes for array in checkpoint.weights.values())
    lines |= {"sha256": checkpoint.sha256, "devices": ", ".join(device_names())}
    width = max(map(len, lines)) + 1
    for name, value in lines.items():
        print(f"{name:<{width}} {value}")
    for note in checkpoint.notes:
        print(f"{'note':<{width}} {note}")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="python -m impl", description="GPT-2 in MAX.")
    commands = parser.add_subparsers(required=True, metavar="{generate,demo,info,serve,choose}")
    model = Parser(add_help=False)
    model.add_argument("--model", default="tiny", help="tiny, random:PRESET, a folder or a hub id")
    model.add_argument("--revision", help="branch, tag or commit on the hub")
    generate = commands.add_parser("generate", parents=[model], help="continue a text")
    _add_generate(generate.add_argument)
    generate.set_defaults(run=_generate)
    tour = commands.add_parser(
        "demo", parents=[model], help="a forward pass checked, attention, three texts, speed"
    )
    add_demo(tour.add_argument)
    tour.set_defaults(run=demo)
    info = commands.add_parser("info", parents=[model], help="sizes, hash and devices")
    info.set_defaults(run=_info)
    server = commands.add_parser(
        "serve", parents=[model], help="answer OpenAI's requests over HTTP"
    )
    add_serve(server.add_argument)
    server.set_defaults(run=serve)
    chooser = commands.add_parser(
        "choose", parents=[model], help="measure which kernels are the fastest here, and keep it"
    )
    add_choose(chooser.add_argument)
    chooser.set_defaults(run=choose_here)
    return parser


def _add_generate(add: Callable[..., object]) -> None:
    switch = argparse.BooleanOptionalAction
    add("prompt", nargs="?", metavar="PROMPT", help="the beginning of the text; - reads stdin")
    add("--ids", metavar="1,2,3", help="token ids in place of a text; ids are printed")
    add("--device", default="cpu", help="cpu, gpu or gpu:N (default: %(default)s)")
    add(
        "--dtype",
        default="float32",
        help="of weights: float32, bfloat16, int8; bfloat16-products rounds activations too, "
        "bfloat16-cache keys and values besides (default: %(default)s)",
    )
    kernels = (
        "stock, mojo, a form of it (mojo-avx2, ...), or auto: what MAX_GPT2_KERNELS says, what "
        "`choose` found here, or what fits the CPU (default: auto)"
    )
    add("--kernels", default="auto", help=kernels)
    add("--cache", action=switch, default=True, help="remember keys and values of past tokens")
    add("--max-new-tokens", type=int, default=40, help="default: %(default)s")
    add("--temperature", type=float, default=0.8, help="0 is greedy (default: %(default)s)")
    add("--top-k", type=int, default=0, help="0 keeps all tokens (default: %(default)s)")
    add("--top-p", type=float, default=0.95, help="1 keeps all tokens (default: %(default)s)")
    add("--greedy", action="store_true", help="always the best token: temperature 0")
    add("--seed", type=int, help="of the random draws; drawn and printed if not given")
    add("--stop", action="append", default=[], metavar="TEXT", help="end before this text")
    add("--stream", action=switch, default=True, help="print each token as it comes")
    add("--stats", action=switch, default=True, help="notes and speed on stderr")


if __name__ == "__main__":
    sys.exit(as_program("impl", main, to_the_end=False))
