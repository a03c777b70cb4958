"""One answer, judged: its tokens, its log-probabilities, its length, its end, its text."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verify.endpoint.client import Answer, Question
    from verify.endpoint.standard import Expected, Standard

SHOWN_TOKENS = 12
"""Ids of a prompt that a question's sentence shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with what its answer must be.

    Attributes:
        question: as it is sent.
        prompt: its token ids, whatever it is sent as.
        stops: ids that must end the answer.
        stop_text: the text that must end it, and that it must not hold; empty for none.
        greedy: whether every token must be the likeliest.
    """

    question: Question
    prompt: tuple[int, ...]
    stops: frozenset[int] = frozenset()
    stop_text: str = ""
    greedy: bool = True

    def in_words(self) -> str:
        """The question in a sentence."""
        shown = ", ".join(map(str, self.prompt[:SHOWN_TOKENS]))
        more = ", ..." if len(self.prompt) > SHOWN_TOKENS else ""
        question = self.question
        options = {"max_tokens": question.max_tokens, **question.options}
        if question.stream:
            options["stream"] = True
        if question.logprobs is not None:
            options["logprobs"] = question.logprobs
        told = ", ".join(f"{name} {value}" for name, value in options.items())
        count = len(self.prompt)
        return f"{count} token{'s' * (count != 1)} [{shown}{more}]; {told}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """What is wrong with an answer, where it begins.

    Attributes:
        message: a sentence.
        position: of the answer's token, from 0; None where it is not one token's.
        expected, got: tokens, log-probabilities or texts, in words.
        margin: by how much the likeliest token is likelier in float64 than the one that came, or
            than the next likeliest where the token is right, in nats.
        text: what was asked.
    """

    message: str
    position: int | None = None
    expected: str = ""
    got: str = ""
    margin: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of an answer.

    Attributes:
        tokens: how many were judged.
        ties: at how many of them another one lies as near as the precision can tell.
        used: the largest error of a log-probability over what is allowed; None without any.
        wrong: None where it is right.
    """

    tokens: int = 0
    ties: int = 0
    used: float | None = None
    wrong: Wrong | None = None
    ids: tuple[int, ...] = field(default=(), repr=False)


class Judge:
    """Judges answers.

    Args:
        standard: the model's own answers.
        returns_ids: whether the server says its tokens' ids.
        logprobs: whether it says their log-probabilities.
        context: tokens that the server takes at most.
    """

    def __init__(
        self, standard: Standard, *, returns_ids: bool, logprobs: bool, context: int
    ) -> None:
        self.standard = standard
        self.returns_ids, self.logprobs, self.context = returns_ids, logprobs, context

    def judge(self, asked: Asked, answer: Answer) -> Judged:
        """An answer; the sentence that was asked is part of what is wrong."""
        found = self._judged(asked, answer)
        if found.wrong is None:
            return found
        return replace(found, wrong=replace(found.wrong, text=asked.in_words()))

    def _judged(self, asked: Asked, answer: Answer) -> Judged:
        if not answer.ok:
            return Judged(wrong=Wrong(message=failed(answer)))
        ids = answer.ids if self.returns_ids else self._followed(asked, answer)
        if isinstance(ids, Wrong):
            return Judged(wrong=ids)
        size = self.standard.model.size
        if outside := [one for one in ids if not 0 <= one < size]:
            told = f"it has token {outside[0]}, and the vocabulary {size}"
            return Judged(wrong=Wrong(message=told, got=str(outside[0])))
        if not ids:
            ended = self._ended_at_once(asked, answer)
            return Judged(wrong=None if ended else Wrong(message="it has no token"))
        within = ids[: self.context + 1 - len(asked.prompt)]
        expected = self.standard.of([*asked.prompt, *within[:-1]], len(asked.prompt) - 1)
        judged = self._tokens(asked, within, expected)
        judged = judged if judged.wrong else self._logprobs(judged, answer, within, expected)
        return judged if judged.wrong else replace(judged, wrong=self._shape(asked, answer, ids))

    def _ended_at_once(self, asked: Asked, answer: Answer) -> bool:
        """Whether the model's first token ends the answer."""
        expected = self.standard.of(asked.prompt, len(asked.prompt) - 1)
        stops = asked.stops | self._ends(asked)
        return answer.finish_reason == "stop" and any(expected.tied(0, one) for one in stops)

    def _ends(self, asked: Asked) -> frozenset[int]:
        ignored = asked.question.options.get("ignore_eos")
        return frozenset() if ignored else self.standard.model.ends

    # ---- tokens -------------------------------------------------------------------------------

    def _tokens(self, asked: Asked, ids: Sequence[int], expected: Expected) -> Judged:
        """Whether each token is the likeliest, or tied with it."""
        ties = 0
        for at, token in enumerate(ids) if asked.greedy else ():
            best = expected.best(at)
            if token == best:
                continue
            if not expected.tied(at, token):
                return Judged(tokens=at, ties=ties, wrong=self._other(at, best, token, expected))
            ties += 1
        return Judged(tokens=len(ids), ties=ties, ids=tuple(ids))

    def _other(self, at: int, best: int, token: int, expected: Expected) -> Wrong:
        margin = expected.margin(at, token)
        told = f"token {at + 1} is {self.named(token)} in place of {self.named(best)}"
        return Wrong(
            message=f"{told}, which is likelier by {margin:.3g} nats",
            position=at,
            expected=self.named(best),
            got=self.named(token),
            margin=margin,
        )

    def named(self, token: int) -> str:
        """A token's id, with its text where that is known."""
        words = self.standard.model.vocabulary
        return f"{token} {words.text_of(token)!r}" if words else str(token)

    # ---- log-probabilities --------------------------------------------------------------------

    def _logprobs(
        self, judged: Judged, answer: Answer, ids: Sequence[int], expected: Expected
    ) -> Judged:
        if not self.logprobs or answer.question.logprobs is None:
            return judged
        found = answer.logprobs
        if len(found) != len(ids):
            told = f"it has {len(found)} log-probabilities for {len(ids)} tokens"
            return replace(judged, wrong=Wrong(message=told, got=str(len(found))))
        worst = 0.0
        for at, (token, value) in enumerate(zip(ids, found, strict=True)):
            truth, allowed = float(expected.logprobs[at, token]), float(expected.allowed[at])
            used = abs(value - truth) / allowed
            if not used <= 1:
                wrong = self._off(at, token, value, answer, expected)
                return replace(judged, used=used, wrong=wrong)
            worst = max(worst, used)
        tops = self._tops(answer, expected)
        return replace(judged, used=max(worst, tops) if isinstance(tops, float) else worst,
                       wrong=tops if isinstance(tops, Wrong) else None)  # fmt: skip

    def _off(self, at: int, token: int, value: float, answer: Answer, expected: Expected) -> Wrong:
        truth, allowed = float(expected.logprobs[at, token]), float(expected.allowed[at])
        told = (
            f"the log-probability of token {at + 1}, {self.named(token)}, is {value:.7g}, and "
            f"{truth:.7g} in float64: {abs(value - truth) / allowed:.3g} times what is allowed"
        )
        temperature = answer.question.options.get("temperature", 1.0)
        if temperature not in (0, 1.0):
            scaled = expected.logprobs[at] / temperature
            scaled = scaled - _log_sum(scaled)
            if abs(value - float(scaled[token])) <= allowed / temperature * 2:
                told += f"; it is that of the distribution at temperature {temperature}"
        return Wrong(message=told, position=at, expected=f"{truth:.7g}", got=f"{value:.7g}",
                     margin=expected.lead(at))  # fmt: skip

    def _tops(self, answer: Answer, expected: Expected) -> Wrong | float:
        """The alternatives: each value must be one of the oracle's highest; the worst share used.

        They are named by text, and tokens of the same text are one there, so that values count.
        """
        worst = 0.0
        for at, top in enumerate(answer.tops[: len(expected.logprobs)]):
            row, allowed = expected.logprobs[at], float(expected.allowed[at])
            chosen = answer.logprobs[at]
            highest = sorted(row, reverse=True)[: len(top) + 1]
            for text, value in top.items():
                near = min(abs(value - one) for one in (*highest, chosen)) / allowed
                if not near <= 1:
                    told = f"the alternative {text!r} to token {at + 1} has log-probability "
                    told += f"{value:.7g}, which is not among the {len(top)} highest in float64"
                    return Wrong(message=told, position=at, got=f"{value:.7g}",
                                 expected=", ".join(f"{one:.5g}" for one in highest))  # fmt: skip
                worst = max(worst, near)
        return worst

    # ---- length, end and text -----------------------------------------------------------------

    def _shape(self, asked: Asked, answer: Answer, ids: Sequence[int]) -> Wrong | None:
        return (
            self._end(asked, answer, ids)
            or self._usage(answer, asked, ids)
            or self._text(answer, ids)
        )

    def _end(self, asked: Asked, answer: Answer, ids: Sequence[int]) -> Wrong | None:
        stops, reason = asked.stops | self._ends(asked), answer.finish_reason
        early = [at for at, one in enumerate(ids[:-1]) if one in stops]
        if early:
            told = f"it continues after the stop token {self.named(ids[early[0]])}"
            return Wrong(message=told, position=early[0] + 1, got=self.named(ids[early[0] + 1]))
        if reason == "stop":
            return self._stopped(asked, ids, stops)
        if reason != "length":
            return Wrong(message=f"its finish_reason is {reason!r}", got=str(reason))
        return self._length(asked, ids, stops)

    def _stopped(self, asked: Asked, ids: Sequence[int], stops: frozenset[int]) -> Wrong | None:
        """Whether something had to stop it: its last token, or the one that would follow."""
        if ids[-1] in stops or asked.stop_text:
            return None
        if len(asked.prompt) + len(ids) <= self.context:
            after = self.standard.of([*asked.prompt, *ids], len(asked.prompt) + len(ids) - 1)
            if any(after.tied(0, one) or not asked.greedy for one in stops):
                return None
        return Wrong(message=f"it stops after {len(ids)} tokens for no reason", position=len(ids))

    def _length(self, asked: Asked, ids: Sequence[int], stops: frozenset[int]) -> Wrong | None:
        most = asked.question.max_tokens or len(ids)
        room = self.context - len(asked.prompt)
        right = {most} if most <= room else {max(room, 1), min(room + 1, most)}
        if len(ids) not in right:
            told = f"it has {len(ids)} tokens, and {' or '.join(map(str, sorted(right)))} were due"
            return Wrong(message=told, position=min(len(ids), max(right)), got=str(len(ids)),
                         expected=str(most))  # fmt: skip
        if ids[-1] in stops and len(ids) < most:
            return Wrong(message="its finish_reason is length, and a stop token ended it")
        return None

    def _usage(self, answer: Answer, asked: Asked, ids: Sequence[int]) -> Wrong | None:
        for name, right in (("prompt_tokens", {len(asked.prompt)}),
                            ("completion_tokens", {len(ids), len(ids) + 1})):  # fmt: skip
            told = answer.usage.get(name)
            ended = answer.finish_reason == "stop"
            right = right if ended or name == "prompt_tokens" else {len(ids)}
            if self.returns_ids and told is not None and told not in right:
                return Wrong(message=f"its usage says {told} {name}, and there are {max(right)}",
                             expected=str(max(right)), got=str(told))  # fmt: skip
        return None

    def _text(self, answer: Answer, ids: Sequence[int]) -> Wrong | None:
        """Whether the text is that of the ids; bytes that are no character are left out."""
        words = self.standard.model.vocabulary
        if words is None or not self.returns_ids or answer.finish_reason == "stop":
            return None
        expected, found = words.decode(ids), answer.text
        if _whole(expected) == _whole(found):
            return None
        return Wrong(message="its text is not that of its tokens", expected=repr(expected),
                     got=repr(found))  # fmt: skip

    # ---- servers that say no ids --------------------------------------------------------------

    def _followed(self, asked: Asked, answer: Answer) -> tuple[int, ...] | Wrong:
        """The tokens of an answer in text: those of the model whose text it is, ties included."""
        words, most = self.standard.model.vocabulary, asked.question.max_tokens or 0
        assert words is not None
        text, ids = answer.text, list(asked.prompt)
        if asked.stop_text and asked.stop_text in text:
            return Wrong(message=f"it holds the text {asked.stop_text!r} that should end it",
                         got=repr(text))  # fmt: skip
        room = max(min(most, self.context - len(ids)), 1)
        if self._is_usual(ids, usual := words.encode(text), room):
            return tuple(usual)
        while len(ids) - len(asked.prompt) < room:
            so_far = ids[len(asked.prompt) :]
            if answer.finish_reason == "stop" and words.decode(so_far) == text:
                break
            expected = self.standard.of(ids, len(ids) - 1)
            tied = [one for one in _nearest(expected) if expected.tied(0, one)]
            fits = [one for one in tied if _begins(text, words.decode([*so_far, one]))]
            if not fits:
                return self._other_text(text, words.decode([*so_far, tied[0]]), len(so_far))
            ids.append(fits[0])
        found = ids[len(asked.prompt) :]
        if not asked.stop_text and _whole(words.decode(found)) != _whole(text):
            return self._other_text(text, words.decode(found), len(found))
        return tuple(found)

    def _is_usual(self, prompt: Sequence[int], ids: Sequence[int], room: int) -> bool:
        """Whether the usual tokens of a text are the likeliest ones; that takes a single pass."""
        if len(ids) != room:
            return False
        expected = self.standard.of([*prompt, *ids[:-1]], len(prompt) - 1)
        return all(expected.tied(at, token) for at, token in enumerate(ids))

    @staticmethod
    def _other_text(text: str, expected: str, at: int) -> Wrong:
        told = f"from token {at + 1} on its text is another: {text!r} where the model's begins "
        return Wrong(message=f"{told}{expected!r}", position=at, expected=repr(expected),
                     got=repr(text))  # fmt: skip


def _nearest(expected: Expected, count: int = 8) -> list[int]:
    """The likeliest tokens of one position, likeliest first."""
    row = expected.logprobs[0]
    return [int(one) for one in row.argsort()[::-1][:count]]


def _begins(text: str, start: str) -> bool:
    return text.startswith(start.rstrip("\ufffd"))


def _whole(text: str) -> str:
    return text.replace("\ufffd", "")


def _log_sum(row: Sequence[float]) -> float:
    from scipy.special import logsumexp

    return float(logsumexp(row))


def failed(answer: Answer) -> str:
    """Why there is no answer, in a sentence."""
    if not answer.status:
        return f"no answer came: {answer.error}"
    if answer.status == 200:
        return answer.error or "the stream has no end"
    return f"the server says {answer.status}: {answer.error or 'without a reason'}"
