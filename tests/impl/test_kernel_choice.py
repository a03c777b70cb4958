"""One switch forces either path; without it the CPU decides. Both run on every machine."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from impl import kernel_choice
from impl.engine import Engine, EngineError
from impl.kernel_choice import NAMES, SWITCH, Choice, choose, has_avx512
from impl.precompile import KernelError

ROOT = Path(__file__).parents[2]

INTEL_AVX512 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8480C
flags\t\t: fpu vme de pse sse4_2 avx f16c fma avx2 bmi2 avx512f avx512dq avx512cd avx512bw avx512vl
vmx flags\t: vnmi preemption_timer posted_intr
bugs\t\t: spectre_v1

processor\t: 1
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8480C
flags\t\t: fpu vme de pse sse4_2 avx f16c fma avx2 bmi2 avx512f avx512dq avx512cd avx512bw avx512vl
vmx flags\t: vnmi preemption_timer posted_intr
"""
AMD_AVX2 = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 7B12
flags\t\t: fpu vme de pse sse4_2 avx f16c fma avx2 bmi1 bmi2 clzero
bugs\t\t: sysret_ss_attrs spectre_v1

processor\t: 1
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 7B12
flags\t\t: fpu vme de pse sse4_2 avx f16c fma avx2 bmi1 bmi2 clzero
"""
AARCH64 = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm dcpop
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd0c
"""
UNLIKE_CORES = INTEL_AVX512.replace("avx512f", "avx", 1)
NAMED_IN_ANOTHER_LINE = AMD_AVX2.replace("spectre_v1", "avx512f")
LONGER_WORD = AMD_AVX2.replace("clzero", "avx512fx")


@pytest.fixture
def cpu(tmp_path, monkeypatch):
    """Make this machine one whose list of processors is a text, and no switch set."""
    monkeypatch.delenv(SWITCH, raising=False)

    def become(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(kernel_choice, "CPUINFO", tmp_path / "cpuinfo")

    return become


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (INTEL_AVX512, True),
        (AMD_AVX2, False),
        (AARCH64, False),
        (UNLIKE_CORES, False),
        (NAMED_IN_ANOTHER_LINE, False),
        (LONGER_WORD, False),
        ("", False),
    ],
)
def test_the_list_of_processors_says_what_all_of_them_have(tmp_path, text, expected):
    (tmp_path / "cpuinfo").write_text(text)
    assert has_avx512(tmp_path / "cpuinfo") is expected


def test_a_list_that_cannot_be_read_promises_nothing(tmp_path):
    assert has_avx512(tmp_path / "missing") is False
    (tmp_path / "binary").write_bytes(b"flags : \xff\xfe")
    assert has_avx512(tmp_path / "binary") is False


def test_without_the_switch_the_cpu_decides(cpu):
    cpu(INTEL_AVX512)
    assert choose("auto", "float32", on_cpu=True) == Choice("mojo", required=False)
    cpu(AMD_AVX2)
    lacks = "the Mojo kernels need AVX-512, which this CPU lacks"
    assert choose("auto", "float32", on_cpu=True) == Choice("stock", reason=lacks)
    assert choose("auto", "int8", on_cpu=True) == Choice("mojo")


@pytest.mark.parametrize("text", [INTEL_AVX512, AMD_AVX2, AARCH64])
def test_the_switch_forces_either_path_on_any_cpu(cpu, monkeypatch, text):
    cpu(text)
    for kernels in ("mojo", "stock"):
        monkeypatch.setenv(SWITCH, kernels)
        forced = Choice(kernels, reason=f"MAX_GPT2_KERNELS={kernels}")
        assert choose("auto", "float32", on_cpu=True) == forced
    monkeypatch.setenv(SWITCH, "auto")
    expected = "mojo" if text == INTEL_AVX512 else "stock"
    assert choose("auto", "float32", on_cpu=True).kernels == expected


def test_what_is_asked_for_by_name_is_not_switched(monkeypatch):
    monkeypatch.setenv(SWITCH, "stock")
    assert choose("mojo", "float32", on_cpu=True) == Choice("mojo")
    monkeypatch.setenv(SWITCH, "mojo")
    assert choose("stock", "float32", on_cpu=True) == Choice("stock")


def test_an_accelerator_has_stock_operations_alone(monkeypatch):
    monkeypatch.setenv(SWITCH, "mojo")
    assert choose("auto", "float32", on_cpu=False).kernels == "stock"
    with pytest.raises(KernelError, match="the Mojo kernels are for a CPU"):
        choose("mojo", "float32", on_cpu=False)
    with pytest.raises(KernelError, match="int8 needs the Mojo kernels"):
        choose("auto", "int8", on_cpu=False)


@pytest.mark.parametrize(
    ("switch", "dtype", "message"),
    [
        ("cuda", "float32", "MAX_GPT2_KERNELS is auto or mojo or stock, not 'cuda'"),
        ("stock", "bfloat16", "MAX_GPT2_KERNELS=stock: .* bfloat16 needs the Mojo kernels"),
    ],
)
def test_a_switch_that_cannot_be_followed_is_refused(
    checkpoint, monkeypatch, switch, dtype, message
):
    monkeypatch.setenv(SWITCH, switch)
    with pytest.raises(EngineError, match=message):
        Engine(checkpoint.config, checkpoint.weights, dtype=dtype)


@pytest.mark.compiles
@pytest.mark.parametrize("kernels", ["mojo", "stock"])
def test_the_engine_follows_the_switch_and_says_so(checkpoint, monkeypatch, kernels):
    monkeypatch.setenv(SWITCH, kernels)
    engine = Engine(checkpoint.config, checkpoint.weights)
    assert engine.kernel_path.startswith(f"{NAMES[kernels]} (MAX_GPT2_KERNELS={kernels}), float32")
    assert engine.decode(np.array([1])).shape == (1, checkpoint.config.vocab_size)


@pytest.mark.compiles
@pytest.mark.parametrize("kernels", ["mojo", "stock"])
def test_a_process_that_is_started_from_here_follows_the_switch(kernels):
    command = [sys.executable, "-m", "impl", "generate", "--ids", "1,2", "--max-new-tokens", "1"]
    done = subprocess.run(
        [*command, "--model", "random:tiny:perturbed"],
        cwd=ROOT, env=os.environ | {SWITCH: kernels}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"{NAMES[kernels]} (MAX_GPT2_KERNELS={kernels})" in done.stderr
