r"""A model that others can ask.

## Afterwards

MAX Serve is the grown-up form.
"""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

import numpy as np
from step_12 import generate


class RequestError(ValueError):
    """A request that cannot be answered: its text goes to the client, with status 400."""


class CompletionServer(ThreadingHTTPServer):
    """Answers POST /v1/completions on a free port of this machine; each client has a thread.

    logits: int64 [1, S] -> [1, S, V], one call at a time. encode: text -> a list of token ids;
    decode: the way back. n_positions: how many tokens the model can hold, prompt and answer.
    """

    def __init__(
        self,
        logits: Callable[[np.ndarray], np.ndarray],
        encode: Callable[[str], list[int]],
        decode: Callable[[list[int]], str],
        n_positions: int,
    ) -> None:
        super().__init__(("127.0.0.1", 0), CompletionHandler)
        self.logits, self.encode, self.decode = logits, encode, decode
        self.n_positions = n_positions
        self.lock = Lock()

    def complete(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request as OpenAI's clients expect it."""
        # TODO 1: what is asked, refused where it cannot be a request
        # calls: `request.get(name, default)`; `raise RequestError(text)`; `isinstance(value, str)`
        # look: a client sends "prompt", a text, and perhaps "max_tokens", which is 16 if left out
        # formula: prompt is a text that is not empty; max_tokens is an int, and at least 1
        # thought: whatever comes over a network was checked by nobody before
        prompt = request.get("prompt")
        max_tokens = request.get("max_tokens", 16)
        if not isinstance(prompt, str) or not prompt:
            raise RequestError("prompt must be a text that is not empty")
        if not isinstance(max_tokens, int) or max_tokens < 1:
            raise RequestError("max_tokens must be a whole number, at least 1")
        # done 1

        # TODO 2: the tokens as the graph's input
        # calls: `self.encode(prompt)` gives a list; `np.array([...], dtype=np.int64)`
        # look: the shape and dtype that a model takes
        # formula: ids[0, s] = token s of the prompt
        # thought: a request is one row of a batch, and a graph takes a batch
        ids = np.array([self.encode(prompt)], dtype=np.int64)  # [1, S]
        # done 2

        # TODO 3: refused where the model cannot hold it
        # calls: `ids.shape[1]`; `raise RequestError(text)`
        # look: what `n_positions` counts: the table of step 6 has no row beyond it
        # formula: S + max_tokens <= n_positions
        # thought: the last new token is never read again, but clients count prompt and answer
        if ids.shape[1] + max_tokens > self.n_positions:
            raise RequestError(
                f"{ids.shape[1]} tokens and {max_tokens} new ones: there is room for "
                f"{self.n_positions}"
            )
        # done 3

        # TODO 4: the continuation, by one thread at a time
        # calls: `with self.lock:` lets one thread in and has others wait;
        #   `generate(logits, ids, max_new_tokens)` of step 12
        # look: how many threads there are when ten clients ask at once
        # formula: ids of the prompt -> ids of prompt and answer, [1, S + max_tokens]
        # thought: the model's inputs and cache are one place in memory, whoever asks
        with self.lock:
            grown = generate(self.logits, ids, max_tokens)  # [1, S + max_tokens]
        # done 4

        # TODO 5: the answer's own text
        # calls: slicing `[0, start:]`; `.tolist()`; `self.decode(list)`
        # look: whether the prompt belongs to what is sent back
        # formula: text = decode(tokens S, S + 1, ...)
        # thought: the client has the prompt already: it wants what comes after it
        text = self.decode(grown[0, ids.shape[1] :].tolist())
        # done 5

        # TODO 6: the form that OpenAI's clients read
        # calls: a dict: "object", "choices" and "usage"; json makes text of it later
        # look: a choice has "index", "text", "logprobs" (None here) and "finish_reason"
        # formula: "object" is "text_completion"; "usage" has "prompt_tokens", "completion_tokens"
        #   and "total_tokens"
        # thought: "finish_reason" is "length" where max_tokens ended it, which it always does here
        used = {
            "prompt_tokens": ids.shape[1],
            "completion_tokens": max_tokens,
            "total_tokens": ids.shape[1] + max_tokens,
        }
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}
        return {"object": "text_completion", "choices": [choice], "usage": used}
        # done 6


class CompletionHandler(BaseHTTPRequestHandler):
    """One request of one client."""

    server: CompletionServer

    def do_POST(self) -> None:
        """Read a request, and send its answer or what is wrong with it."""
        if self.path != "/v1/completions":
            self.send(404, {"error": {"message": f"there is no {self.path} here"}})
            return
        # TODO 7: the request, of as many bytes as the client says
        # calls: `int(self.headers["Content-Length"])`; `self.rfile.read(n)`
        # look: `read()` without a number waits until the client hangs up, which it does not
        # formula: body = the next Content-Length bytes
        # thought: one connection carries several requests, one after the other
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # done 7

        # TODO 8: answered with 200, or with 400 and the reason
        # calls: `json.loads(body)` gives a dict, or raises ValueError; `self.server.complete(...)`;
        #   `self.send(status, answer)`; `try` and `except ValueError as error`
        # look: a RequestError is a ValueError, and so is what json raises; JSON may also be a list
        # formula: 400 and {"error": {"message": text}} for what the client did wrong
        # thought: without an answer the client waits; the next one has to be served too
        try:
            request = json.loads(body)
            if not isinstance(request, dict):
                raise RequestError("a request is a JSON object")
            answer = self.server.complete(request)
        except ValueError as error:
            self.send(400, {"error": {"message": str(error)}})
        else:
            self.send(200, answer)
        # done 8

    def send(self, status: int, answer: dict[str, Any]) -> None:
        """Send an answer as JSON."""
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""
