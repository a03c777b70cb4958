"""One run against a server: what it can, every question, bad questions, planted faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from reports.commands import UsageError
from verify.endpoint.abilities import Abilities, UnfitError, find
from verify.endpoint.answering import Judge
from verify.endpoint.asking import put
from verify.endpoint.client import Endpoint
from verify.endpoint.misuse import Misuse
from verify.endpoint.noticed import planted
from verify.endpoint.questions import Questions
from verify.endpoint.standard import Standard
from verify.endpoint.written import Outcome, answers_of, case_of, planted_of, treated_of
from verify.truth.cases import LARGE_PARAMETERS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from verify.endpoint.asking import Found
    from verify.endpoint.misuse import Treated
    from verify.endpoint.questions import Case
    from verify.endpoint.standard import Model

LOST = 3
"""Cases in a row without any answer, after which the rest is not asked."""


class Inspection:
    """A run.

    Args:
        model: that the server should be.
        options: of the command line.
        name: what the server calls the model.
        write: takes records.
        say: takes a few words, how far it has come, and how far it goes.
    """

    def __init__(
        self,
        model: Model,
        options: argparse.Namespace,
        name: str,
        write: Callable[[Mapping[str, Any]], None],
        say: Callable[[str, int, int], None],
    ) -> None:
        self.model, self.options, self.name = model, options, name
        self._write, self._say = write, say
        self._context = options.context or model.context
        self._standard = Standard(model, options.dtype)

    def run(self) -> Outcome:
        """Everything; each record is written as soon as it is known.

        Raises:
            UsageError: where nothing that the server answers could be judged.
        """
        outcome, cases, judge = asyncio.run(self._asked())
        if self._proves():
            outcome.planted = planted(
                self.model, outcome.abilities, cases, judge, lambda text: self._say(text, 0, 1)
            )
            for one in outcome.planted:
                self._write({"record": "planted", **planted_of(one)})
        else:
            outcome.unasked.append("what these questions would notice (--prove asks)")
        return outcome

    def _proves(self) -> bool:
        size = sum(one.numel() for one in self.model.torch.parameters())
        return bool(self.options.prove or (size <= LARGE_PARAMETERS and not self.options.no_prove))

    async def _asked(self) -> tuple[Outcome, Sequence[Case], Judge]:
        timeout = aiohttp.ClientTimeout(total=self.options.timeout)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            endpoint = Endpoint(self.options.url, self.name, session, self.options.body)
            try:
                abilities = await find(endpoint, self.model.vocabulary)
            except UnfitError as error:
                raise UsageError(str(error)) from error
            outcome = Outcome(abilities=abilities)
            questions = Questions(self._standard, abilities, self._context, self.options.seed)
            cases = list(questions.cases(self.options.requests, self.options.text))
            judge = self._judge(abilities)
            await self._put(endpoint, cases, judge, outcome)
            if self.options.operation:
                misuse = Misuse(endpoint, questions, judge)
                outcome.treated = await misuse.all(self._treated)
        if any(one.reused is not None for one in outcome.found) and not any(
            one.reused for one in outcome.found
        ):
            outcome.unasked.append("a cached prefix, unless the server uses one without saying so")
        if self.options.text and self.model.vocabulary is None:
            outcome.unasked.append("--text, since the model has no tokenizer")
        return outcome, cases, judge

    def _judge(self, abilities: Abilities) -> Judge:
        return Judge(
            self._standard,
            returns_ids=abilities.returned,
            logprobs=abilities.logprobs is not None,
            context=self._context,
        )

    async def _put(
        self, endpoint: Endpoint, cases: Sequence[Case], judge: Judge, outcome: Outcome
    ) -> None:
        """Every case; a server that is gone is not asked the rest."""
        lost = 0
        for number, case in enumerate(cases):
            self._say(case.name, number, len(cases))
            found = await put(endpoint, case, judge)
            outcome.found.append(found)
            self._found(found)
            lost = lost + 1 if found.silent else 0
            if lost == LOST:
                rest = len(cases) - number - 1
                outcome.unasked.append(f"{rest} cases, since the server no longer answers")
                return

    def _found(self, found: Found) -> None:
        for answer in answers_of(found):
            self._write({"record": "answer", **answer})
        self._write({"record": "case", **case_of(found)})

    def _treated(self, treated: Treated) -> None:
        self._say(treated.name, 0, 1)
        self._write({"record": "case", **treated_of(treated)})
