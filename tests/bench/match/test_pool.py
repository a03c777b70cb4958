"""A draw has no process twice, and a pool is made anew when it has been good for enough draws."""

import os

import numpy as np
import pytest

from bench.match.pool import Processes, check_memory
from bench.worker.process import WorkerError
from tests.bench.helpers import plan
from tests.processes import gone

READY = """
import json, sys
print(json.dumps({"weights_sha256": "w"}), flush=True)
for line in sys.stdin:
    print(json.dumps({}), flush=True)
"""


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """A Python program in the worker's place."""
    package = tmp_path / "bench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "worker.py").write_text(READY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = []

    def make(size, renew=2):
        return Processes(plan(["torch"]), size, renew, tmp_path, made.append)

    return make, made


def test_a_draw_has_different_processes_and_a_pool_is_good_for_some_draws(processes):
    make, made = processes
    rng = np.random.default_rng(0)
    with make(size=6, renew=2) as pool:
        draws = [{worker.pid for worker in pool.draw(4, rng)} for _ in range(3)]
        assert [len(draw) for draw in draws] == [4, 4, 4]
        assert pool.started == len(made) == 12
        assert not draws[2] & (draws[0] | draws[1])
        assert gone([worker.pid for worker in made[:6]])
        assert pool.group == 1
    assert gone([worker.pid for worker in made])


def test_without_a_pool_every_draw_has_new_processes(processes):
    make, made = processes
    rng = np.random.default_rng(0)
    with make(size=0) as pool:
        first, second = ({worker.pid for worker in pool.draw(3, rng)} for _ in range(2))
        assert not first & second
        assert len(made) == 6
        assert pool.group == 1


def test_a_pool_that_would_not_fit_into_memory_is_refused_with_what_helps():
    class Own:
        pid = os.getpid()

    check_memory(Own, 1)
    with pytest.raises(WorkerError, match="--pool 0 needs fewer at once"):
        check_memory(Own, 1_000_000)
