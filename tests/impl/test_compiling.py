"""What is said while a program is compiled, and how long it is thought to take."""

import json
from contextlib import contextmanager

import pytest

from impl import compiling
from impl.compiling import FIRST_S, HISTORY, History, announced_by, compile_announced


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MODULAR_DERIVED_PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def heard():
    """What was announced: (what, basis, seconds), then `done` or `failed`."""
    said = []

    @contextmanager
    def announce(what, estimate):
        said.append((what, estimate.basis, estimate.seconds))
        yield
        said.append("done")

    with announced_by(announce):
        yield said


def test_the_first_program_is_judged_by_the_speed_of_the_machine(cache, heard):
    assert compile_announced("the model", "text", lambda: 7) == 7
    (what, basis, seconds), end = heard
    assert (what, basis, end) == ("the model", "calibration", "done")
    assert seconds >= FIRST_S


def test_the_same_program_is_expected_from_the_cache(cache, heard):
    for _ in range(2):
        compile_announced("the model", "text", lambda: None)
    assert [said[1] for said in heard if said != "done"] == ["calibration", "cached"]


def test_another_program_takes_as_long_as_the_last_of_its_kind(cache):
    history = History(cache / HISTORY)
    for what, key, seconds in [
        ("the model", "a", 40), ("the model", "a", 1),
        ("an engine", "b", 9), ("the model", "c", 50),
    ]:  # fmt: skip
        history.add(what, key, seconds)
    history = History(cache / HISTORY)
    assert history.estimate("the model", "new") == compiling.Estimate(50, "history")
    assert history.estimate("an engine", "new") == compiling.Estimate(9, "history")
    assert history.estimate("another kind", "new") == compiling.Estimate(50, "history")
    assert history.estimate("the model", "a") == compiling.Estimate(1, "cached")


def test_another_version_of_max_is_another_program(cache, heard, monkeypatch):
    compile_announced("the model", "text", lambda: None)
    monkeypatch.setattr(compiling, "version", lambda _: "99.1")
    compile_announced("the model", "text", lambda: None)
    assert [said[1] for said in heard if said != "done"] == ["calibration", "history"]


def test_what_fails_is_not_remembered(cache, heard):
    with pytest.raises(ZeroDivisionError):
        compile_announced("the model", "text", lambda: 1 / 0)
    assert not (cache / HISTORY).exists()


def test_a_spoilt_history_is_passed_over(cache):
    entry = {"what": "the model", "key": "a", "seconds": 3.0}
    lines = ["", "nonsense", "[]", '{"what": 1}', json.dumps(entry)]
    (cache / HISTORY).write_text("\n".join(lines))
    assert History(cache / HISTORY).estimate("the model", "b").seconds == 3.0


def test_a_cache_that_cannot_be_written_does_not_stop_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MODULAR_DERIVED_PATH", str(tmp_path / "file"))
    assert compile_announced("the model", "text", lambda: 7) == 7


@pytest.mark.compiles
def test_max_is_through_with_compiling_when_its_model_is_returned():
    """Its worker calls Python at the end; nothing may be destroyed before."""
    from max.driver import CPU
    from max.dtype import DType
    from max.engine import InferenceSession, api
    from max.graph import DeviceRef, Graph, TensorType, ops

    inputs = [TensorType(DType.float32, ["n"], device=DeviceRef.CPU())]
    graph = Graph("negative", lambda x: ops.negate(x), input_types=inputs)
    session = InferenceSession(devices=[CPU()])
    held = []
    for _ in range(20):
        compile_announced("a graph", "negative", lambda: session.compile(graph))
        held.append(api._COMPILATION_LOCK.locked())
    assert not any(held)
