"""The options of `python -m bench serve`, and what they come to."""

from __future__ import annotations

import argparse
import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from bench.plan.options import margin_option, natural, positive, processes_option
from bench.serving.known import Known, Truth, known_answers
from bench.serving.load_plan import LoadPlan
from bench.serving.prompts import draw
from bench.serving.server_arms import SERVERS
from impl.tokenizer import Tokenizer, TokenizerError
from reference.load import config_of, folder_of
from reports.commands import (
    Parser,
    UsageError,
    add_quiet,
    check_appended,
    check_written,
    duration,
)
from reports.saved.environment import usable_cpus
from verify.endpoint.client import Endpoint
from verify.options import json_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impl.config import GPT2Config

PROCESSES = 3
"""The fewest of which an interval can be made."""

SPARE = 1.5
"""So many prompts are drawn for each that is needed: some have an answer that ends too soon."""

ANY_VOCABULARY = 256
"""Token ids that a model whose checkpoint is not known is asked with; every model has so many."""

CONCURRENCY = [1, 2, 4, 8, 16]
EXTRAS = {"temperature": 0}


def load_parser() -> Parser:
    """The parser."""
    parser = Parser(
        prog="python -m bench serve",
        description="Put a load on a server with OpenAI's completions, or on several that are "
        "started in turns: latencies, throughput, saturation; every answer checked.",
    )
    parser.add_argument("url", nargs="?", help="of a running server")
    _add_server(parser.add_argument_group("whom"))
    _add_load(parser.add_argument_group("the load"))
    _add_judging(parser.add_argument_group("how it is judged"))
    _add_results(parser.add_argument_group("where results go"))
    return parser


def _add_server(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--arms", type=_arms, metavar="A,A",
        help=f"servers to start: {', '.join(SERVERS)}; ratios are to the first")  # fmt: skip
    add("--model", help="with --arms the checkpoint: tiny (default), a folder, a hub id; with a "
        "URL the name that the server has for it (default: its only one)")  # fmt: skip
    add("--check", metavar="MODEL", help="with a URL: the checkpoint that it serves, by which "
        "answers are checked; without, they must be what the same prompt has alone")  # fmt: skip
    add("--body", type=json_object, default={}, metavar="JSON",
        help='with a URL: more fields of each request, such as {"ignore_eos": true}')  # fmt: skip
    add("--text", action="store_true", help="with a URL: it takes texts, and no token ids")
    add("--served-as", default="float32", metavar="DTYPE",
        help="with a URL: the dtype that its answers are judged by (float32)")  # fmt: skip
    add("-t", "--threads", type=positive, metavar="N",
        help="of each server that is started (default: the usable CPUs but one)")  # fmt: skip
    processes_option(group, PROCESSES)
    add("--cold", action="store_true", help="also start each once with empty compilers' caches")


def _add_load(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-c", "--concurrency", type=_whole_numbers, default=CONCURRENCY, metavar="N,N",
        help="callers of closed loops (1,2,4,8,16); 0 for none")  # fmt: skip
    add("-r", "--rates", type=_rates, default=None, metavar="R,R",
        help="requests a second of open loops, arriving as a Poisson process; auto (default): "
        "shares of what the closed loops reached; none")  # fmt: skip
    add("--seconds", type=duration, default=4.0, metavar="4s",
        help="that each load counts, after a quarter more of warm-up; each is put on every process "
        "twice (4s)")  # fmt: skip
    add("-p", "--prompt", type=_range, default=(64, 64), metavar="N[:M]",
        help="tokens of a prompt, or their range (64)")  # fmt: skip
    add("-n", "--new", type=positive, default=16, metavar="N", help="tokens of an answer (16)")
    add("--prompts", type=positive, default=256, metavar="N", help="different prompts (256)")
    add("--seed", type=natural, default=0, help="draws prompts, arrivals and turns (0)")


def _add_judging(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--slo-ttft", type=_milliseconds, metavar="MS",
        help="a request counts as goodput only with its first token by then")  # fmt: skip
    add("--slo-tpot", type=_milliseconds, metavar="MS", help="and a token in so long after it")
    margin_option(group)
    add("--cross-check", action="store_true",
        help="put the load of --concurrency 4 on it by `max benchmark` too")  # fmt: skip


def _add_results(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-o", "--out", type=Path, metavar="DIR", help="default: a new folder in reports/runs")
    add("--json", type=Path, metavar="PATH", help="write the results as JSON; - is standard output")
    add("--summary", type=Path, metavar="PATH", help="append a Markdown summary")
    add_quiet(group, "how many rows are VALID")


def plan_of(options: argparse.Namespace) -> LoadPlan:
    """What is measured.

    Raises:
        UsageError, reference.checkpoint.CheckpointError: for what cannot be carried out.
    """
    check_written(options.json, "--json")
    check_appended(options.summary, "--summary")
    _check(options)
    checkpoint = options.check if options.url else options.model or "tiny"
    if checkpoint:
        _check_sizes(options, config_of(checkpoint))
    return _plan(options, checkpoint or "", _served(options) if options.url else "")


def known_of(plan: LoadPlan, truth: Truth) -> Known:
    """What is asked, and the right answers.

    Raises:
        UsageError: where there are no such prompts.
    """
    if not plan.model:
        return Known(draw(plan.prompts, plan.n_prompt, plan.seed, ANY_VOCABULARY, None), plan.n_new)
    config, tokenizer = _checkpoint(plan.model)
    drawn = draw(round(SPARE * plan.prompts) + 8, plan.n_prompt, plan.seed, config.vocab_size,
                 tokenizer)  # fmt: skip
    return known_answers(drawn, plan.prompts, plan.n_new, truth, tokenizer)


def _check(options: argparse.Namespace) -> None:
    if bool(options.url) == bool(options.arms):
        raise UsageError("name the URL of a server, or with --arms servers to start, and not both")
    given = {"--check": options.check, "--body": options.body, "--text": options.text}
    if not options.url and (wrong := next((name for name, value in given.items() if value), "")):
        raise UsageError(f"{wrong} is for a running server, given by its URL")
    if options.url and (options.cold or options.threads):
        raise UsageError("--cold and --threads are for servers that --arms starts")
    if not options.concurrency and not options.rates:
        raise UsageError("there is no load: --concurrency is 0 and --rates names none")
    if options.text and not options.check:
        raise UsageError("--text needs --check MODEL, whose tokenizer makes the texts")
    if options.cross_check and (options.arms != ["max", *(options.arms or [])[1:]]
                                and not options.check):  # fmt: skip
        raise UsageError("--cross-check asks the first of --arms, which must be max, or a URL with "
                         "--check MODEL, whose tokenizer `max benchmark` needs")  # fmt: skip


def _served(options: argparse.Namespace) -> str:
    """The name that a server has for its model."""
    if options.model:
        return str(options.model)
    names = asyncio.run(_names(options.url))
    if len(names) != 1:
        raise UsageError(f"the server has {len(names)} models ({', '.join(names)}): name --model")
    return names[0]


async def _names(url: str) -> list[str]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            return await Endpoint(url, "", session).models()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as err:
            told = f"{type(err).__name__}: {err}".rstrip(": ")
            raise UsageError(
                f"{url} does not say which models it has ({told}); name --model"
            ) from None


def _checkpoint(name: str) -> tuple[GPT2Config, Tokenizer | None]:
    """Configuration and tokenizer; None for a checkpoint without one."""
    config = config_of(name)
    try:
        return config, Tokenizer.load(folder_of(name), model_vocab_size=config.vocab_size)
    except TokenizerError:
        return config, None


def _check_sizes(options: argparse.Namespace, config: GPT2Config) -> None:
    most = options.prompt[1] + options.new
    if most > config.n_positions:
        raise UsageError(
            f"{options.prompt[1]} + {options.new} tokens are more than the model's "
            f"{config.n_positions} positions"
        )


def _plan(options: argparse.Namespace, checkpoint: str, served: str) -> LoadPlan:
    cpus = usable_cpus()
    threads = options.threads or max(1, len(cpus) - 1)
    if threads > len(cpus):
        raise UsageError(f"--threads {threads} is more than the {len(cpus)} usable CPUs")
    servers = cpus[:threads]
    own = cpus[threads:] or cpus
    return LoadPlan(
        arms=options.arms or ["server"], url=options.url or "", model=checkpoint, served=served,
        concurrency=options.concurrency, rates=options.rates, seconds=options.seconds,
        processes=options.processes if options.arms else 1, threads=threads,
        server_cpus=servers, client_cpus=own if options.arms else cpus, n_prompt=options.prompt,
        n_new=options.new, prompts=options.prompts, slo_ttft_ms=options.slo_ttft,
        slo_tpot_ms=options.slo_tpot, margin=options.margin, cold=options.cold,
        seed=options.seed, text=options.text, judged_as=options.served_as,
        options={**EXTRAS, **options.body},
    )  # fmt: skip


def _arms(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in SERVERS]:
        raise argparse.ArgumentTypeError(
            f"unknown server {unknown[0]!r}; choose from {', '.join(SERVERS)}"
        )
    return names


def _whole_numbers(text: str) -> list[int]:
    return sorted({number for part in text.split(",") if (number := natural(part))})


def _rates(text: str) -> Sequence[float] | None:
    if text == "auto":
        return None
    try:
        rates = [] if text == "none" else sorted({float(part) for part in text.split(",")})
    except ValueError:
        rates = [0.0]
    if not all(0 < rate < 1e6 for rate in rates):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of rates such as 5,10, or auto")
    return rates


def _range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text, re.ASCII)
    least, most = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 0 < least <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens such as 64 or 16:64")
    return least, most


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds")
    return value
