"""One switch forces any path; without it what was measured decides, or the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from impl.choosing import kernel_choice
from impl.choosing.kernel_choice import FORMS, SWITCH, Choice, choose, form_of_cpu
from impl.engine import Engine, EngineError
from impl.precompile import KernelError

ROOT = Path(__file__).parents[3]

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
NO_FMA = AMD_AVX2.replace(" fma ", " ")
FITTING = [
    (INTEL_AVX512, "avx512"),
    (AMD_AVX2, "avx2"),
    (AARCH64, "neon"),
    (UNLIKE_CORES, "avx2"),
    (NAMED_IN_ANOTHER_LINE, "avx2"),
    (LONGER_WORD, "avx2"),
    (NO_FMA, "plain"),
    ("", "plain"),
]


def chosen(kernels, dtype="float32", *, on_cpu=True, measured=None):
    """What is meant by `kernels`; by default nobody has measured."""
    return choose(kernels, dtype, on_cpu=on_cpu, measured=lambda: measured)


@pytest.fixture
def cpu(tmp_path, monkeypatch):
    """Make this machine one whose list of processors is a text, and no switch set."""
    monkeypatch.delenv(SWITCH, raising=False)

    def become(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(kernel_choice, "CPUINFO", tmp_path / "cpuinfo")

    return become


@pytest.mark.parametrize(("text", "form"), FITTING)
def test_the_list_of_processors_says_what_all_of_them_have(tmp_path, text, form):
    (tmp_path / "cpuinfo").write_text(text)
    assert form_of_cpu(tmp_path / "cpuinfo") == form


def test_a_list_that_cannot_be_read_promises_nothing(tmp_path):
    assert form_of_cpu(tmp_path / "missing") == "plain"
    (tmp_path / "binary").write_bytes(b"flags : \xff\xfe")
    assert form_of_cpu(tmp_path / "binary") == "plain"


def test_a_mac_of_apples_has_neon(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert form_of_cpu() == "neon"


@pytest.mark.parametrize(("text", "form"), FITTING)
def test_where_nothing_was_measured_the_cpu_decides(cpu, text, form):
    cpu(text)
    if form == "plain":
        lacks = "this CPU has no fused multiply-adds, which the Mojo kernels are made of"
        assert chosen("auto") == Choice("stock", reason=lacks)
    else:
        reason = kernel_choice.COMPARE if form == "neon" else ""
        assert chosen("auto") == Choice("mojo", form, required=False, reason=reason)
    assert chosen("auto", "int8") == Choice("mojo", form)
    assert chosen("mojo") == Choice("mojo", form)


def test_what_was_measured_decides_before_the_cpu(cpu):
    cpu(INTEL_AVX512)
    said = "measured here: twice as fast"
    assert chosen("auto", measured=("mojo-avx2", said)) == Choice("mojo", "avx2", False, said)
    assert chosen("auto", measured=("stock", said)) == Choice("stock", "", False, said)
    assert chosen("auto", "int8", measured=("stock", said)) == Choice("mojo", "avx512")
    assert chosen("mojo", measured=("stock", said)) == Choice("mojo", "avx512")


@pytest.mark.parametrize("text", [INTEL_AVX512, AMD_AVX2, AARCH64, ""])
def test_the_switch_forces_any_path_on_any_cpu(cpu, monkeypatch, text):
    cpu(text)
    for kernels in ("stock", *(f"mojo-{form}" for form in FORMS if form != "tiles")):
        monkeypatch.setenv(SWITCH, kernels)
        forced = Choice.of(kernels, reason=f"MAX_GPT2_KERNELS={kernels}")
        assert chosen("auto", measured=("stock", "measured")) == forced
        assert forced.form == kernels.partition("-")[2]
    monkeypatch.setenv(SWITCH, "mojo")
    assert chosen("auto").form == form_of_cpu()
    monkeypatch.setenv(SWITCH, "auto")
    assert chosen("auto").kernels == ("mojo" if text else "stock")


def test_tiles_are_refused_in_a_sentence_where_they_cannot_be_had(cpu, monkeypatch):
    cpu(INTEL_AVX512)
    monkeypatch.setattr(kernel_choice, "refusal", lambda: "no permission")
    with pytest.raises(KernelError, match="no permission"):
        chosen("mojo-tiles")
    monkeypatch.setenv(SWITCH, "mojo-tiles")
    with pytest.raises(KernelError, match="no permission"):
        chosen("auto")
    assert chosen("mojo-tiles-emulated") == Choice("mojo", "tiles-emulated")


def test_tiles_that_were_the_fastest_give_way_where_they_are_refused(cpu, monkeypatch):
    """A container on the same CPU may lack the permission that was there when it was measured."""
    cpu(INTEL_AVX512)
    monkeypatch.setattr(kernel_choice, "refusal", lambda: "no permission")
    found = chosen("auto", measured=("mojo-tiles", "measured here"))
    assert found == Choice("mojo", "avx512", False, "no permission")
    monkeypatch.setattr(kernel_choice, "refusal", lambda: "")
    found = chosen("auto", measured=("mojo-tiles", "measured here"))
    assert found == Choice("mojo", "tiles", False, "measured here")
    assert chosen("auto", "bfloat16-products") == Choice("mojo", "avx512")  # never unmeasured


def test_what_is_asked_for_by_name_is_not_switched(monkeypatch):
    monkeypatch.setenv(SWITCH, "stock")
    assert chosen("mojo-neon") == Choice("mojo", "neon")
    monkeypatch.setenv(SWITCH, "mojo")
    assert chosen("stock") == Choice("stock")


def test_an_accelerator_has_stock_operations_alone(monkeypatch):
    monkeypatch.setenv(SWITCH, "mojo")
    assert chosen("auto", on_cpu=False).kernels == "stock"
    with pytest.raises(KernelError, match="the Mojo kernels are for a CPU"):
        chosen("mojo-avx2", on_cpu=False)
    with pytest.raises(KernelError, match="int8 needs the Mojo kernels"):
        chosen("auto", "int8", on_cpu=False)


@pytest.mark.parametrize(
    ("switch", "dtype", "message"),
    [
        (
            "cuda",
            "float32",
            "MAX_GPT2_KERNELS is auto, mojo, .* or mojo-tiles-emulated, not 'cuda'",
        ),
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
@pytest.mark.parametrize("kernels", ["mojo", "mojo-avx2", "stock"])
def test_the_engine_follows_the_switch_and_says_so(checkpoint, monkeypatch, kernels):
    monkeypatch.setenv(SWITCH, kernels)
    engine = Engine(checkpoint.config, checkpoint.weights)
    assert engine.kernel_path.startswith(
        f"{Choice.of(kernels).path} (MAX_GPT2_KERNELS={kernels}), float32"
    )
    assert engine.decode(np.array([1])).shape == (1, checkpoint.config.vocab_size)


@pytest.mark.compiles
@pytest.mark.parametrize("kernels", ["mojo", "stock"])
def test_a_process_that_is_started_from_here_follows_the_switch(kernels):
    command = [sys.executable, "-m", "impl", "generate", "--ids", "1,2", "--max-new-tokens", "1"]
    done = subprocess.run(
        [*command, "--model", "random:tiny:perturbed"],
        cwd=ROOT, env=os.environ | {SWITCH: kernels}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"{Choice.of(kernels).path} (MAX_GPT2_KERNELS={kernels})" in done.stderr
