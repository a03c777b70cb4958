"""The check of step 13: the learner's server is started, asked over HTTP, and stopped.

Its model is a small one in float64, so that each answer is known. MAX Serve is not needed.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import HTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.taps import LOGITS
from verify.candidate.guard import a, as_candidate_error, guarded
from verify.steps.component import SMALL, StepError
from verify.steps.lessons import lesson
from verify.steps.plain import telling_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference.trace import Array

    Post = Callable[[bytes], tuple[int, Any]]
    """Sends the body of a request, and gives the answer's status and JSON."""

ALPHABET = "".join(map(chr, range(32, 127))) + "éü"
"""A character for each of the small model's 97 tokens."""

PATIENCE = 10.0
"""Seconds that a client waits for an answer, which takes a few milliseconds."""

CLIENTS = 3
MEETING = 0.5
"""Seconds that a call of the model waits for a second one to come in, while clients ask at once."""


class Model:
    """Logits of a small model, and how many threads were in it at once."""

    def __init__(self) -> None:
        self.oracle = telling_model()
        self.crowded = False
        self.waits = False
        self._inside = 0
        self._entered = threading.Condition()

    def logits(self, ids: Array) -> Array:
        """[B, S] -> [B, S, V], float32."""
        ids = np.asarray(ids)
        if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"the model takes integers [B, S], not {ids.dtype} {list(ids.shape)}")
        with self._entered:
            self._inside += 1
            self._entered.notify_all()
            if self.waits and self._entered.wait_for(lambda: self._inside > 1, MEETING):
                self.crowded = True
        try:
            result: Array = self.oracle.trace(ids.astype(np.int64))[LOGITS].astype(np.float32)
            return result
        finally:
            with self._entered:
                self._inside -= 1


def encode(text: str) -> list[int]:
    """The tokens of a text, one for each character."""
    return [ALPHABET.index(character) for character in text]


def decode(tokens: list[int]) -> str:
    """The text of tokens."""
    return "".join(ALPHABET[token] for token in tokens)


def check_server(factory: Any, *, quick: bool = False) -> None:  # noqa: ARG001 - as the others
    """Answers equal the model's, what cannot be done is refused, and clients do not meet.

    Args:
        factory: the learner's class.
        quick: nothing is compiled in either case.

    Raises:
        StepError: at the first answer that is wrong.
        CandidateError: where the server's own code raises.
    """
    model = Model()
    with guarded("CompletionServer(logits, encode, decode, n_positions)"):
        server = factory(model.logits, encode, decode, SMALL.n_positions)
    if not isinstance(server, HTTPServer):
        raise StepError(
            f"CompletionServer(...) is {a(server)}, not a server",
            "derive it from http.server.ThreadingHTTPServer",
        )
    with _running(server) as post:
        _judge_answers(post, model)
        _judge_refusals(post)
        _judge_at_once(post, model)


@contextmanager
def _running(server: HTTPServer) -> Iterator[Post]:
    """A function that asks the server, which runs in a thread while this context lasts."""
    raised: list[BaseException] = []

    def noted(*_: Any) -> None:
        if error := sys.exc_info()[1]:
            raised.append(error)

    def post(body: bytes) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE)
        try:
            connection.request("POST", "/v1/completions", body)
            response = connection.getresponse()
            return response.status, _json(response.read())
        except TimeoutError:
            raise _wrong(
                7, f"a client got no answer in {PATIENCE:.0f} s to {body.decode()[:60]}",
                "does it read more bytes than the client sends, or keep the lock?",
            ) from None  # fmt: skip
        except (OSError, http.client.HTTPException):
            if raised:
                doing = f"answering {body.decode()[:60]}"
                raise as_candidate_error(doing, raised[-1]) from None
            raise _wrong(
                8, f"the connection ends without an answer to {body.decode()[:60]}",
                "every request gets an answer, also one that is refused",
            ) from None  # fmt: skip
        finally:
            connection.close()

    server.handle_error = noted  # type: ignore[method-assign, assignment]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield post
    finally:
        server.shutdown()
        server.server_close()


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise _wrong(8, f"an answer is not JSON: {text[:60]!r}", "send a dict") from None


def _wrong(task: int, problem: str, hint: str) -> StepError:
    about = lesson(13).tasks[task - 1]
    return StepError(problem, hint, hints=(hint, *about.hints), task=about)


def _request(prompt: Any, **more: Any) -> bytes:
    return json.dumps({"model": "small", "prompt": prompt, **more}).encode()


def _continued(model: Model, prompt: str, count: int) -> str:
    ids = np.array([encode(prompt)])
    for _ in range(count):
        ids = np.concatenate([ids, model.logits(ids)[:, -1:].argmax(axis=-1)], axis=1)
    return decode(ids[0, len(prompt) :].tolist())


def _judge_answers(post: Post, model: Model) -> None:
    for prompt, count in (("Hello", 6), ("to be or not", 3), ("x" * 40, SMALL.n_positions - 40)):
        _judge_answer(post(_request(prompt, max_tokens=count)), prompt, count, model)
    _judge_answer(post(_request("Hello")), "Hello", 16, model)


def _judge_answer(found: tuple[int, Any], prompt: str, count: int, model: Model) -> None:
    status, answer = found
    asked = f'to "{prompt}" and max_tokens {count}'
    if status != 200:
        task = 3 if len(prompt) + count == SMALL.n_positions else 1
        raise _wrong(
            task, f"the answer {asked} has status {status}: {_message(answer)}",
            f"this can be answered: prompt and answer may fill the {SMALL.n_positions} positions",
        )  # fmt: skip
    try:
        choice, used = answer["choices"][0], answer["usage"]
        text, ended = choice["text"], choice["finish_reason"]
        counts = [used[f"{name}_tokens"] for name in ("prompt", "completion", "total")]
        kind = answer["object"]
    except (KeyError, IndexError, TypeError) as error:
        raise _wrong(
            6, f"the answer {asked} has no {error}: {json.dumps(answer)[:80]}",
            "object, choices and usage; in a choice index, text, logprobs and finish_reason",
        ) from None  # fmt: skip
    _judge_text(text, prompt, count, model)
    if counts != [len(prompt), count, len(prompt) + count]:
        raise _wrong(
            6, f"usage counts {counts} tokens {asked}: prompt, completion, total",
            "the prompt's tokens, the new ones, and both together",
        )  # fmt: skip
    if kind != "text_completion" or ended != "length":
        raise _wrong(
            6, f"object is {kind!r} and finish_reason is {ended!r} in the answer {asked}",
            'a "text_completion", which ends because of its "length"',
        )  # fmt: skip


def _judge_text(text: Any, prompt: str, count: int, model: Model) -> None:
    right = _continued(model, prompt, count)
    if text == right:
        return
    problem = f'"{prompt}" is continued by {text!r}, not {right!r}'
    if not isinstance(text, str):
        raise _wrong(5, f"text is {a(text)}", "decode makes a text of a list of token ids")
    if text == prompt + right:
        raise _wrong(5, f"{problem}: the prompt is sent back too", "new tokens alone are decoded")
    if len(text) != count:
        raise _wrong(
            5, f"{problem}: {len(text)} characters, one for each token, and {count} were asked for",
            "where do the new tokens begin, and how many did generate make?",
        )  # fmt: skip
    raise _wrong(4, problem, "generate of step 12 continues all of the prompt, as it was encoded")


REFUSED: tuple[tuple[int, str, bytes], ...] = (
    (1, "there is no prompt", b'{"max_tokens": 3}'),
    (1, "the prompt is a number", _request(7)),
    (1, "the prompt is empty", _request("", max_tokens=3)),
    (1, "max_tokens is 0", _request("Hello", max_tokens=0)),
    (1, "max_tokens is a text", _request("Hello", max_tokens="3")),
    (3, "prompt and answer are one token too long", _request("x" * 40, max_tokens=9)),
    (3, "the prompt alone is too long", _request("x" * 60, max_tokens=1)),
    (8, "it is not JSON", b"Hello"),
    (8, "it is JSON, but a list", b"[1, 2]"),
)


def _judge_refusals(post: Post) -> None:
    for task, why, body in REFUSED:
        status, answer = post(body)
        if status != 400:
            raise _wrong(
                task, f"a request is answered with status {status} where {why}",
                "what the client did wrong is answered with 400 and the reason",
            )  # fmt: skip
        if not isinstance(_message(answer), str):
            raise _wrong(
                8, f"400 without a reason where {why}: {json.dumps(answer)[:60]}",
                'the form is {"error": {"message": text}}',
            )  # fmt: skip


def _message(answer: Any) -> Any:
    """The reason in a refusal; None where it has another form."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return error.get("message") if isinstance(error, dict) else None


def _judge_at_once(post: Post, model: Model) -> None:
    """Clients that ask at once get their own answers, and the model has one caller at a time."""
    prompts = [f"client {number}" for number in range(CLIENTS)]
    model.waits = True
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(lambda prompt: post(_request(prompt, max_tokens=1)), prompts))
    model.waits = False
    if model.crowded:
        raise _wrong(
            4, f"of {CLIENTS} clients that ask at once, two are in the model at the same time",
            "each client has a thread: what lets one in and has the others wait?",
        )  # fmt: skip
    for prompt, answer in zip(prompts, found, strict=True):
        _judge_answer(answer, prompt, 1, model)
