"""A plan of questions put to a server, and what came of each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from verify.endpoint.answering import Judged, Wrong, failed
from verify.endpoint.chi_square import LEVEL, Sampled
from verify.endpoint.chi_square import judged as judged_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verify.endpoint.abilities import Respondent
    from verify.endpoint.answering import Asked, Judge
    from verify.endpoint.client import Answer
    from verify.endpoint.questions import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of a case.

    Attributes:
        case: its questions.
        judged: of each of them.
        wrong: the first thing that is wrong; None where nothing is.
        number: the question at which it begins.
        sampled: of a case that draws.
        refused: what the server said where it refused what it may refuse.
        silent: whether no answer came to any of the questions.
        reused: prompts' tokens that the server says it had computed before; None where that is not
            the point.
    """

    case: Case
    judged: tuple[Judged, ...]
    wrong: Wrong | None = None
    number: int = 0
    sampled: Sampled | None = None
    refused: str = ""
    silent: bool = False
    reused: int | None = None

    @property
    def verdict(self) -> Literal["PASS", "FAIL"]:
        """Of the case."""
        return "FAIL" if self.wrong else "PASS"

    @property
    def tokens(self) -> int:
        """How many were judged."""
        return sum(one.tokens for one in self.judged)

    @property
    def ties(self) -> int:
        """At how many another one was as likely."""
        return sum(one.ties for one in self.judged)

    @property
    def used(self) -> float | None:
        """The largest error of a log-probability over what is allowed."""
        return max((one.used for one in self.judged if one.used is not None), default=None)

    def message(self) -> str:
        """A sentence on what was seen; empty where nothing is worth one."""
        wrong = sum(one.wrong is not None for one in self.judged)
        if self.wrong:
            more = f" ({wrong} of {len(self.judged)} answers are wrong)" if wrong > 1 else ""
            return self.wrong.message + more
        if self.sampled:
            return _of_sample(self.sampled)
        if self.reused:
            return f"the server had computed {self.reused} tokens of it before"
        return f"refused: {self.refused}" if self.refused else ""


async def put(server: Respondent, case: Case, judge: Judge) -> Found:
    """Ask the questions of a case, as many at once as it says, and judge the answers."""
    answers: list[Answer] = []
    for start in range(0, len(case.asked), case.at_once):
        some = case.asked[start : start + case.at_once]
        answers += await asyncio.gather(*(server.ask(one.question) for one in some))
    return await asyncio.to_thread(_found, case, answers, judge)


def _found(case: Case, answers: Sequence[Answer], judge: Judge) -> Found:
    pairs = list(zip(case.asked, answers, strict=True))
    if case.refusable and all(400 <= answer.status < 500 for answer in answers):
        silent = next((one for one in answers if not one.error), None)
        wrong = Wrong(message=failed(silent), text=case.asked[0].in_words()) if silent else None
        return Found(case=case, judged=(), wrong=wrong, refused=answers[0].error)
    judged = tuple(judge.judge(asked, answer) for asked, answer in pairs)
    number = next((n for n, one in enumerate(judged) if one.wrong), 0)
    gone = all(answer.status == 0 for answer in answers)
    first = judged[number].wrong
    found = Found(case=case, judged=judged, wrong=first, number=number, silent=gone)
    if found.wrong:
        return found
    if case.group == "prefix":
        found = replace(found, reused=sum(map(_reused, answers)))
    if case.drawn:
        return _with_sample(found, judge)
    if case.compare and (told := case.compare(answers, judged)):
        wrong = Wrong(message=told, text=case.asked[-1].in_words())
        return replace(found, wrong=wrong, number=len(judged) - 1)
    return found


def _with_sample(found: Found, judge: Judge) -> Found:
    asked: Asked = found.case.asked[0]
    expected = judge.standard.of(asked.prompt, len(asked.prompt) - 1)
    temperature = float(asked.question.options["temperature"])
    tokens = [one.ids[0] for one in found.judged]
    sampled = judged_sample(tokens, expected.logprobs[0], temperature)
    if sampled.passed:
        return replace(found, sampled=sampled)
    told = f"not the model's distribution at temperature {temperature}: {_of_sample(sampled)}"
    wrong = Wrong(message=told, text=asked.in_words(), position=0,
                  expected=_counts(sampled.expected), got=_counts(sampled.found))  # fmt: skip
    return replace(found, sampled=sampled, wrong=wrong)


def _reused(answer: Answer) -> int:
    """Tokens of the prompt that the server says it took from its cache."""
    return int((answer.usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)


def _of_sample(sampled: Sampled) -> str:
    return (
        f"chi-square {sampled.statistic:.3g} in {sampled.cells} cells; a right server exceeds "
        f"{sampled.limit:.3g} once in {1 / LEVEL:,.0f} (measured {sampled.false_alarms:.1e})"
    )


def _counts(values: Sequence[float]) -> str:
    return ", ".join(f"{one:.4g}" for one in values)
