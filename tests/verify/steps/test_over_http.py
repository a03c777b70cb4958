"""Step 13: a learner's server, asked over HTTP."""

import pytest

from verify.candidate.guard import CandidateError
from verify.steps.component import StepError
from verify.steps.lessons import lesson
from verify.steps.over_http import check_server

SOLUTION = lesson(13).solution.replace("from step_12 import generate", lesson(12).solution)


def server(*changes):
    """The solution's class, with some of its text replaced."""
    text = SOLUTION
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    known = {"__name__": "learner"}
    exec(text, known)
    return known["CompletionServer"]


def test_the_solution_passes():
    check_server(server())


@pytest.mark.parametrize(
    ("old", "new", "task", "said"),
    [
        ("grown[0, ids.shape[1] :]", "grown[0]", 5, "the prompt is sent back too"),
        ("grown[0, ids.shape[1] :]", "grown[0, ids.shape[1] + 1 :]", 5, "and 6 were asked for"),
        ("self.encode(prompt)]", "self.encode(prompt)[-1:]]", 4, "is continued by"),
        ("with self.lock:", "if True:", 4, "two are in the model at the same time"),
        ("if ids.shape[1] + max_tokens >", "if ids.shape[1] + max_tokens >=", 3, "has status 400"),
        ("if ids.shape[1] + max_tokens > self.n_positions:", "if ids.shape[1] > 48:", 3,
         "status 200 where prompt and answer are one token too long"),
        ("max_tokens < 1", "max_tokens < 0", 1, "status 200 where max_tokens is 0"),
        ('get("max_tokens", 16)', 'get("max_tokens", 20)', 5, "and 16 were asked for"),
        ('"total_tokens": ids.shape[1] + max_tokens', '"total_tokens": max_tokens', 6,
         "usage counts [5, 6, 6] tokens"),
        ('"finish_reason": "length"', '"finish_reason": "stop"', 6, "finish_reason is 'stop'"),
        ('"index": 0, "text": text', '"index": 0, "content": text', 6, "has no 'text'"),
        ('self.send(400, {"error": {"message": str(error)}})',
         'self.send(400, {"error": str(error)})', 8, "400 without a reason where there is no"),
        ('self.send(400, {"error": {"message": str(error)}})', "pass", 8, "without an answer"),
        ("self.send(400, {", "self.send(500, {", 1, "status 500 where there is no prompt"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_task(old, new, task, said):
    with pytest.raises(StepError) as caught:
        check_server(server((old, new)))
    assert said in str(caught.value)
    assert caught.value.task.number == task
    assert caught.value.hints[1:] == caught.value.task.hints


def test_what_the_server_raises_is_said_with_its_line():
    with pytest.raises(CandidateError, match=r"answering .*raises AttributeError"):
        check_server(server(("isinstance(request, dict)", "request")))


def test_a_server_that_reads_too_much_keeps_nobody_waiting_forever(monkeypatch):
    monkeypatch.setattr("verify.steps.over_http.PATIENCE", 0.5)
    with pytest.raises(StepError, match="a client got no answer in"):
        check_server(server(('self.rfile.read(int(self.headers["Content-Length"]))',
                             "self.rfile.read()")))  # fmt: skip


def test_what_is_not_a_server_is_said():
    with pytest.raises(StepError, match="not a server"):
        check_server(lambda *_: 1)
