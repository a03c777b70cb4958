"""A server with OpenAI's completions that tests ask: a real one, on `tiny` or any checkpoint.

    python tests/verify/endpoint/stand_in.py --port 8123 [--model tiny] [--fault page-end]

Its answers are computed by `verify.endpoint.simulated` and are right, but for the fault that is
planted. `--fault` also takes those of `MISUSES`, which are wrong in how bad questions are treated,
and `--lacks` what another server may not have.
"""

import argparse
import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from reference.huggingface import load_model  # noqa: E402
from reference.load import load  # noqa: E402
from verify.endpoint.client import Question  # noqa: E402
from verify.endpoint.simulated import FAULTS, RefusedError, Simulated  # noqa: E402
from verify.endpoint.vocabulary import vocabulary_of  # noqa: E402

KNOWN = ("model", "prompt", "stream", "max_tokens", "logprobs", "stream_options")

MISUSES = {
    "dies-of-ids": "ends where a token id is out of range",
    "any-model": "answers for whatever model is asked",
    "error-500": "answers 500 where the prompt is too long",
    "cuts-prompts": "answers a prompt that is too long as if it were shorter",
    "wrong-afterwards": "answers wrong once it has refused something",
    "no-reason": "refuses without a word",
}
LACKS = ("ids", "returned-ids", "logprobs", "stream", "seed", "stop-ids", "ignore-eos")
"""Prompts of token ids, `return_token_ids`, and so on: refused with 400, as far as it can be."""


class Server:
    """The routes."""

    def __init__(self, simulated, misuse, lacks):
        self.simulated, self.misuse, self.lacks = simulated, misuse, lacks
        self.refused = False

    def app(self):
        routes = [
            Route("/v1/models", self.models),
            Route("/health", self.models),
            Route("/v1/completions", self.completions, methods=["POST"]),
        ]
        return Starlette(routes=routes)

    async def models(self, request):
        return JSONResponse({"object": "list", "data": [{"id": self.simulated.name}]})

    async def completions(self, request):
        try:
            body = json.loads(await request.body())
            question, name = self.question(body)
        except (ValueError, TypeError) as error:
            return self.refusal(400, f"the request is not one: {error}")
        if name != self.simulated.name and self.misuse != "any-model":
            return self.refusal(404, f"there is no model {name!r} here")
        if lacking := self.lacking(question):
            return self.refusal(400, f"this server does not take {lacking}")
        if question.stream:
            return await self.streamed(question)
        return await self.at_once(question)

    def question(self, body):
        if not isinstance(body, dict) or "prompt" not in body or "model" not in body:
            raise ValueError("model and prompt are needed")
        prompt = body["prompt"]
        if not isinstance(prompt, str | list):
            raise TypeError("the prompt is neither a text nor token ids")
        options = {name: value for name, value in body.items() if name not in KNOWN}
        question = Question(
            prompt=prompt, max_tokens=body.get("max_tokens"), stream=bool(body.get("stream")),
            logprobs=body.get("logprobs"), options=options,
        )  # fmt: skip
        return self.misused(question), body["model"]

    def misused(self, question):
        """What the server makes of a question where it treats bad ones wrongly."""
        ids = question.prompt
        if isinstance(ids, str):
            return question
        out = [one for one in ids if not isinstance(one, int) or not 0 <= one < self.simulated.size]
        if out and self.misuse == "dies-of-ids":
            os._exit(3)
        if self.misuse == "cuts-prompts" and len(ids) >= self.simulated.context:
            return replace(question, prompt=ids[-10:])
        if self.misuse == "wrong-afterwards" and self.refused and ids:
            return replace(question, prompt=[(ids[0] + 1) % self.simulated.size, *ids[1:]])
        return question

    def lacking(self, question):
        options = question.options
        asked = {
            "ids": not isinstance(question.prompt, str),
            "returned-ids": options.get("return_token_ids"),
            "logprobs": question.logprobs is not None,
            "stream": question.stream,
            "seed": options.get("seed") is not None,
            "stop-ids": options.get("stop_token_ids"),
            "ignore-eos": options.get("ignore_eos"),
        }
        return next((name for name in self.lacks if asked[name]), None)

    def refusal(self, status, message):
        self.refused = True
        content = {} if self.misuse == "no-reason" else {"error": {"message": message}}
        return JSONResponse(content, status_code=status)

    def refused_by(self, error):
        long = "positions" in str(error) and self.misuse == "error-500"
        return self.refusal(500 if long else 400, str(error))

    async def at_once(self, question):
        answer = await self.simulated.ask(question)
        if answer.error:
            return self.refused_by(answer.error)
        piece = answer.pieces[0]
        count = len(self.simulated.begin(question).prompt)
        return JSONResponse({**self.envelope([self.choice(piece)]), "usage": usage(count, answer)})

    async def streamed(self, question):
        pieces = self.simulated.pieces(question)
        try:
            first = await anext(pieces)
        except RefusedError as error:
            return self.refused_by(error)

        async def events():
            yield event(self.envelope([self.choice(first)]))
            async for piece in pieces:
                yield event(self.envelope([self.choice(piece)]))
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    def envelope(self, choices):
        return {"id": "cmpl-1", "object": "text_completion", "created": 0,
                "model": self.simulated.name, "choices": choices}  # fmt: skip

    @staticmethod
    def choice(piece):
        told = {"index": 0, "text": piece.text, "finish_reason": piece.finish_reason}
        if piece.logprobs:
            told["logprobs"] = {"token_logprobs": piece.logprobs, "top_logprobs": piece.tops}
        return {**told, "token_ids": list(piece.ids)} if piece.ids else told


def usage(count, answer):
    generated = len(answer.pieces[0].ids or answer.pieces[0].logprobs)
    told = {"prompt_tokens": count}
    return {**told, "completion_tokens": generated} if generated else told


def event(told):
    return f"data: {json.dumps(told)}\n\n"


def simulated_of(model, fault="", name=None, dtype="float32"):
    checkpoint = load(model)
    torch_model = load_model(checkpoint, getattr(torch, dtype))
    vocabulary = vocabulary_of(checkpoint.folder, checkpoint.config.vocab_size)
    torch_model.config.eos_token_id = 0 if model == "tiny" else None
    return Simulated(torch_model, vocabulary, fault, name or model)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--name")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--fault", default="", choices=["", *FAULTS, *MISUSES])
    parser.add_argument("--lacks", default="", help="a,b of " + ", ".join(LACKS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    fault = options.fault if options.fault in FAULTS else ""
    simulated = simulated_of(options.model, fault, options.name, options.dtype)
    lacks = [one for one in options.lacks.split(",") if one]
    app = Server(simulated, options.fault, lacks).app()
    config = uvicorn.Config(app, port=options.port, log_level="warning", backlog=2048)
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
