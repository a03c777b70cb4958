"""A server whose service time and faults are known: a queue behind OpenAI's completions.

    python tests/bench/serving/queue_server.py --port 8123 [--service 0.02] [--fault mixed]

Its model continues token ids by counting on from their sum. One request is served at a time, for
the service time, or one drawn from an exponential distribution around it.
"""

import argparse
import asyncio
import itertools
import json
import os
import random

from aiohttp import web

VOCABULARY = 251
FAULTS = {
    "mixed": "a request gets another's answer where two are open at once",
    "refuses": "every fifth request is refused with 503",
    "breaks-off": "every fifth stream breaks off in the middle",
    "dies": "the server ends with the twentieth request",
    "holds": "nobody is answered until twelve have asked",
}


def continuation(prompt, count):
    """What the model says; of a text, its bytes are the token ids."""
    prompt = prompt.encode() if isinstance(prompt, str) else prompt
    return [(sum(prompt) + n) % VOCABULARY for n in range(1, count + 1)]


class Queue:
    """The routes."""

    def __init__(self, service_s, drawn, fault):
        self.service_s, self.drawn, self.fault = service_s, drawn, fault
        self.one_at_a_time = asyncio.Lock()
        self.asked, self.open, self.last = itertools.count(1), 0, []
        self.enough = asyncio.Event()
        self.random = random.Random(0)

    async def models(self, request):
        return web.json_response({"data": [{"id": "counter"}]})

    async def completions(self, request):
        body, number = await request.json(), next(self.asked)
        if self.fault == "dies" and number == 20:
            os._exit(3)
        if self.fault == "refuses" and number % 5 == 0:
            return web.json_response({"error": {"message": "too busy"}}, status=503)
        if number >= 12:
            self.enough.set()
        if self.fault == "holds":
            await self.enough.wait()
        self.open += 1
        try:
            return await self.answer(request, body, number)
        finally:
            self.open -= 1

    async def answer(self, request, body, number):
        ids = continuation(body["prompt"], body["max_tokens"])
        async with self.one_at_a_time:
            await asyncio.sleep(self.service())
            crowded = self.open > 1
            if self.fault == "mixed" and crowded and self.last:
                ids = self.last
            self.last = continuation(body["prompt"], body["max_tokens"])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for place, token in enumerate(ids):
            if self.fault == "breaks-off" and number % 5 == 0 and place == 2:
                request.transport.close()
                return response
            last = place == len(ids) - 1
            choice = {"text": f" {token}", "token_ids": [token],
                      "finish_reason": "length" if last else None}  # fmt: skip
            await response.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    def service(self):
        return self.random.expovariate(1 / self.service_s) if self.drawn else self.service_s


async def run(options):
    queue = Queue(options.service, options.random, options.fault)
    app = web.Application()
    app.router.add_get("/v1/models", queue.models)
    app.router.add_get("/health", queue.models)
    app.router.add_post("/v1/completions", queue.completions)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port).start()
    await asyncio.Event().wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service", type=float, default=0.005)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--fault", default="", choices=["", *FAULTS])
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
