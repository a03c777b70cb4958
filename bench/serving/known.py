"""Which answers are right: by the checkpoint where it is known, else by the server alone.

Where the checkpoint is known, every answer is compared with the greedy continuation in float64; one
that differs is right only where it decided a tie (`bench.serving.truth`). Where it is not, every
prompt that was asked under load is asked once more alone, and the answers must be the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from reports.commands import UsageError
from reports.saved.home import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.serving.prompts import Prompt
    from impl.tokenizer import Tokenizer

    Record = dict[str, Any]


class Truth:
    """`bench.serving.truth` in a process of its own, because this one imports no torch; a context.

    Args:
        model: of the checkpoint.
        revision: of a model of the hub.
    """

    def __init__(self, model: str, revision: str | None) -> None:
        self._words = [model, *([revision] if revision else [])]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Ask; the process is started with the first question.

        Raises:
            UsageError: with the last that it said, where it fails.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.serving.truth", *self._words], cwd=REPOSITORY,
                env=os.environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate()
            lines = said.strip().splitlines() or ["it said nothing"]
            raise UsageError(f"right answers could not be computed: {lines[-1]}")
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass(slots=True)
class Known:
    """The right answers.

    Attributes:
        prompts: what is asked.
        n_new: tokens of each answer.
        truth: tells what is right; None where the checkpoint is not known.
        tokenizer: of the checkpoint.
        greedy: for each prompt its continuation; empty where the checkpoint is not known.
    """

    prompts: Sequence[Prompt]
    n_new: int
    truth: Truth | None = None
    tokenizer: Tokenizer | None = None
    greedy: list[list[int]] = field(default_factory=list)
    _verdicts: dict[tuple[int, tuple[int, ...], str], str] = field(default_factory=dict)

    def count(self, answer: Mapping[str, Any]) -> int:
        """Tokens of an answer: as ids, else by the server's usage, else by its text or pieces."""
        if answer["ids"]:
            return len(answer["ids"])
        if answer["usage"] is not None:
            return int(answer["usage"])
        if self.greedy and answer["text"] == self.text_of(answer["prompt"]):
            return self.n_new
        if self.tokenizer is not None:
            return len(self.tokenizer.encode(answer["text"].replace("\ufffd", "")))
        return len(answer["arrived_ns"])

    def text_of(self, prompt: int) -> str | None:
        """The text of the right answer to a prompt; None without a tokenizer."""
        return self.tokenizer.decode(self.greedy[prompt]) if self.tokenizer else None

    def judge(self, answers: Sequence[Record], dtype: str) -> None:
        """Say of each whether it is `right`: True, False with what is `wrong`, None for no answer.

        Args:
            answers: as the client's process tells them; `right` and `wrong` are added.
            dtype: in which the server computes, or that it is judged by.
        """
        doubtful = []
        for answer in answers:
            answer["right"], answer["wrong"] = None, ""
            if answer["error"]:
                continue
            if self._equal(answer):
                answer["right"] = True
            else:
                doubtful.append(answer)
        self._judge_doubtful(doubtful, dtype)

    def _equal(self, answer: Record) -> bool:
        right = self.greedy[answer["prompt"]]
        if answer["ids"]:
            return bool(answer["ids"] == right)
        return bool(answer["text"] == self.text_of(answer["prompt"]))

    def _judge_doubtful(self, answers: Sequence[Record], dtype: str) -> None:
        keys = [(one["prompt"], tuple(self._ids_of(one)), dtype) for one in answers]
        unknown = [k for k in dict.fromkeys(keys) if k not in self._verdicts and self._whole(k[1])]
        if unknown:
            asked = {"do": "judge", "prompts": [self.prompts[k[0]].ids for k in unknown],
                     "answers": [k[1] for k in unknown], "dtype": dtype}  # fmt: skip
            self._verdicts |= dict(zip(unknown, self._asked(asked)["verdicts"], strict=True))
        for answer, key in zip(answers, keys, strict=True):
            count = answer["tokens"]
            problem = f"{count} tokens, {self.n_new} were asked for"
            if count == self.n_new:
                problem = self._verdicts.get(key, "a text that is not of such tokens")
            answer["right"], answer["wrong"] = not problem, problem

    def _ids_of(self, answer: Record) -> list[int]:
        if answer["ids"]:
            return list(answer["ids"])
        return self.tokenizer.encode(answer["text"]) if self.tokenizer else []

    def _whole(self, ids: Sequence[int]) -> bool:
        return len(ids) == self.n_new

    def _asked(self, asked: Mapping[str, Any]) -> Record:
        assert self.truth is not None
        return self.truth.ask(asked)


def known_answers(
    prompts: Sequence[Prompt], count: int, n_new: int, truth: Truth, tokenizer: Tokenizer | None
) -> Known:
    """The right answers of a checkpoint, of so many of these prompts.

    Prompts whose continuation has the end of a text are left out, so that servers which stop there
    and others do the same work.

    Raises:
        UsageError: where too few are left, or the model cannot be loaded.
    """
    ids = [prompt.ids for prompt in prompts]
    found = truth.ask({"do": "greedy", "prompts": ids, "n_new": n_new})["continuations"]
    end = tokenizer.eos_token_id if tokenizer else None
    pairs = [(p, c) for p, c in zip(prompts, found, strict=True)
             if end not in c and (tokenizer is None or _plain_text(tokenizer, c))]  # fmt: skip
    if len(pairs) < count:
        raise UsageError(
            f"only {len(pairs)} of {len(prompts)} drawn prompts have a continuation of {n_new} "
            "tokens without an end of text; ask for fewer tokens"
        )
    kept, continuations = zip(*pairs[:count], strict=True)
    return Known(list(kept), n_new, truth, tokenizer, list(continuations))


def _plain_text(tokenizer: Tokenizer, ids: Sequence[int]) -> bool:
    """Whether the tokens are a text without halves of characters."""
    return "\ufffd" not in tokenizer.decode(ids)


def compare_with_alone(
    answers: Sequence[Record], alone: Mapping[int, Record], n_new: int | None
) -> None:
    """Say of each answer whether it is the one that its prompt has alone.

    Args:
        answers: under load; `right` and `wrong` are added.
        alone: by prompt.
        n_new: tokens that each must have; None where the server may stop before.
    """
    for answer in answers:
        answer["right"], answer["wrong"] = None, ""
        other = alone.get(answer["prompt"])
        if answer["error"] or other is None or other["error"]:
            continue
        problem = ""
        if n_new is not None and answer["tokens"] != n_new:
            problem = f"{answer['tokens']} tokens, {n_new} were asked for"
        elif (answer["ids"], answer["text"]) != (other["ids"], other["text"]):
            problem = "another answer than the same prompt has alone"
        answer["right"], answer["wrong"] = not problem, problem
