"""The cores' own limit counts what it computes, and a run goes on where it cannot be measured."""

import os

import pytest

from bench.match.ceiling_rates import Ceilings, Kind, kinds_for
from bench.worker import peak
from bench.worker.ceilings import CeilingServer
from bench.worker.peak import STEPS, Peak
from impl.config import PRESETS
from impl.precompile import KernelError

PEAK = {"ceiling": "peak", "dtype": "float32", "workload": None}


@pytest.mark.compiles
def test_every_multiply_add_is_done_and_counted():
    """A lane that were left out, or a chain that the compiler shortens, would show."""
    lanes, rest = divmod(Peak()(), 2 * STEPS * len(os.sched_getaffinity(0)))
    assert rest == 0
    assert lanes in (12 * 4, 12 * 8, 12 * 16)  # chains x the width of a register


def test_without_a_compiler_there_is_no_such_ceiling_and_the_others_stay(monkeypatch):
    def refuse(*_):
        raise KernelError("no compiler")

    monkeypatch.setattr(peak, "kernel_library", refuse)
    server = CeilingServer(PRESETS["tiny"], "cpu", threads=1)
    assert server.answer(PEAK) == {"rate": None, "what": "no compiler"}

    class Worker:
        def ask(self, request):
            return server.answer(request) if request["ceiling"] == "peak" else GEMM

    GEMM = {"rate": 2e9, "what": "a product"}  # noqa: N806
    kinds = [Kind("peak", "float32"), Kind("gemm", "float32")]
    ceilings = Ceilings(Worker(), "tiny", "cpu", 1, kinds)
    ceilings.measure()
    assert [record["ceiling"] for record in ceilings.records()] == ["gemm"]
    assert ceilings.arithmetic("float32") == 2e9


def test_only_a_cpu_has_it():
    assert Kind("peak", "float32") in kinds_for(["float32"], [], "cpu")
    assert Kind("peak", "float32") not in kinds_for(["float32"], [], "gpu")
