"""The cores' own limit counts what it computes, and a run goes on where it cannot be measured."""

import os
import re

import pytest
from mojo.run import subprocess_run_mojo

from bench.match.ceiling_rates import Ceilings, Kind, kinds_for
from bench.worker import peak
from bench.worker.ceilings import CeilingServer
from bench.worker.peak import SOURCE, STEPS, Form, Peak
from impl.config import PRESETS
from impl.precompile import KernelError

PEAK = {"ceiling": "peak", "dtype": "float32", "workload": None}


X86_AVX2 = ["--target-cpu", "x86-64-v3"]
X86_AVX512 = ["--target-cpu", "x86-64-v4"]
AARCH64 = ["--target-triple", "aarch64-unknown-linux-gnu", "--target-cpu", "generic"]
PROGRAM = """\
from kernels.peak import CHAINS, LANES, one_part


def main():
    print(one_part[LANES, CHAINS](1, 1, 0, 1 << 10))
"""


@pytest.fixture(scope="session")
def machine_peak():
    return Peak()


@pytest.mark.compiles
@pytest.mark.parametrize("index", [0, 1], ids=["native", "avx2"])
def test_every_multiply_add_is_done_and_counted(machine_peak, index):
    """A lane that were left out, or a chain that the compiler shortens, would show."""
    cpus, forms = len(os.sched_getaffinity(0)), machine_peak.forms()
    if index >= len(forms):
        pytest.skip("this CPU has one form")
    form = forms[index]
    assert (form.lanes, form.chains) in {(4, 24), (8, 12), (16, 24)}
    for parts in (1, 7):
        done = machine_peak(form, parts)
        assert done == 2 * parts * cpus * STEPS * form.lanes * form.chains


@pytest.mark.compiles
def test_the_form_that_suits_the_cpu_is_what_is_taken_unasked(machine_peak):
    assert machine_peak() == machine_peak(machine_peak.forms()[0])


@pytest.mark.compiles
def test_a_form_that_is_not_compiled_is_refused(machine_peak):
    with pytest.raises(ValueError, match="not compiled for so many lanes and chains"):
        machine_peak(Form(lanes=5, chains=12))


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("target", "fused", "lanes", "chains"),
    [
        (X86_AVX2, r"vfmadd\d+ps.*%ymm", 8, 12),
        (X86_AVX512, r"vfmadd\d+ps.*%zmm", 16, 24),
        (AARCH64, r"fmla\s+v\d+\.4s, v\d+\.4s, v\d+\.4s", 4, 24),
    ],
    ids=["avx2", "avx512", "aarch64"],
)
def test_the_loop_of_each_target_is_its_multiply_adds_and_touches_no_memory(
    tmp_path, target, fused, lanes, chains
):
    """Fewer chains would wait for their sums, more would not fit the registers."""
    (tmp_path / "main.mojo").write_text(PROGRAM)
    where = ["-I", str(SOURCE.parent), str(tmp_path / "main.mojo"), "-o", str(tmp_path / "main.s")]
    subprocess_run_mojo(
        ["build", "--emit", "asm", *target, "--target-features", "", *where],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    text = (tmp_path / "main.s").read_text()
    assert f"lanes={lanes},chains={chains}" in text
    loop = max(loops(text), key=lambda lines: len(matching(fused, lines)))
    assert len(matching(fused, loop)) == chains
    assert len(loop) == chains + 2  # and the steps are counted, and the loop goes on
    assert not matching(r"[(\[]", loop)  # an address stands in parentheses or brackets


def matching(pattern, lines):
    return [line for line in lines if re.search(pattern, line)]


def loops(assembly):
    """The instructions of every loop without another in it: a label, and a jump back to it."""
    label, lines = "", []
    for line in assembly.splitlines():
        if found := re.match(r"(\.L\w+):", line):
            label, lines = found[1], []
        elif re.match(r"\t[a-z]", line):
            lines.append(line)
            if label and re.match(rf"\t(j\w+|b\.\w+|cbn?z.*,)\s+{re.escape(label)}$", line):
                yield list(lines)


def noise(rates):
    """How much two equal measurements differ: the best of every second turn, and of the others."""
    one, other = max(rates[::2]), max(rates[1::2])
    return abs(one - other) / max(one, other)


def exceeds(product, peak):
    """Whether the best product is faster than the best peak by more than the peak's own noise."""
    return max(product) > max(peak) * (1 + noise(peak))


@pytest.mark.parametrize(
    ("product", "peak", "expected"),
    [
        ([84.6, 80], [74.8, 74.7, 74.8], True),
        ([188, 184], [220, 100, 225], False),
        ([104, 90], [100, 95, 98, 96], False),  # the peak's own turns differ by 4%
        ([104, 90], [100, 95, 98, 99], True),
    ],
)
def test_a_ceiling_that_a_product_exceeds_would_be_seen(product, peak, expected):
    assert exceeds(product, peak) is expected


@pytest.mark.compiles
def test_no_product_of_a_library_exceeds_the_ceiling():
    """The server's own blocks and statistic, the best of all, in turns on whatever runs beside."""
    server = CeilingServer(PRESETS["tiny"], "cpu", threads=len(os.sched_getaffinity(0)))
    kinds = {"peak": PEAK, "gemm": PEAK | {"ceiling": "gemm"}}
    rates = {name: [] for name in kinds}
    for turn in range(MOST_TURNS):
        for name, request in kinds.items():
            rates[name].append(server.answer(request)["rate"])
        if turn >= TURNS and not exceeds(rates["gemm"], rates["peak"]):
            return
    pytest.fail(f"a product is faster: {rates}")


TURNS, MOST_TURNS = 12, 120
"""Of both, which take 0.3 s each: a machine that others use is undisturbed in some of them. The
best of each only rises with more turns, so that a peak which is too low stays so."""


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
    ceilings.measure(lambda _: None)
    assert [record["ceiling"] for record in ceilings.records()] == ["gemm"]
    assert ceilings.arithmetic("float32") == 2e9


def test_only_a_cpu_has_it():
    assert Kind("peak", "float32") in kinds_for(["float32"], [], "cpu")
    assert Kind("peak", "float32") not in kinds_for(["float32"], [], "gpu")
