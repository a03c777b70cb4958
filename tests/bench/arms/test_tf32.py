"""Whether float32 products may use TF32, and what follows for how they are judged."""

import pytest

from bench.arms import tf32
from bench.arms.specs import ARMS
from bench.cli import main


@pytest.mark.parametrize(("said", "meant"), [("on", True), ("off", False), ("", None)])
def test_the_switch_is_on_off_or_not_set(said, meant, monkeypatch):
    monkeypatch.setenv(tf32.SWITCH, said)
    assert tf32.allowed() is meant


def test_another_word_is_refused_before_anything_is_measured(monkeypatch, capsys):
    monkeypatch.setenv(tf32.SWITCH, "yes")
    assert main(["run", "--arms", "torch"]) == 2
    assert capsys.readouterr().err == "bench: MAX_GPT2_TF32 is on or off, not 'yes'\n"


@pytest.mark.parametrize("label", ARMS)
def test_on_a_cpu_nothing_depends_on_it(label, monkeypatch):
    monkeypatch.setenv(tf32.SWITCH, "on")
    assert tf32.judged_as(label, "cpu") == ARMS[label].judged_as


@pytest.mark.parametrize(("said", "judged"), [("on", "float16"), ("off", "float32")])
def test_on_a_gpu_float32_is_judged_by_as_many_bits_as_it_may_use(said, judged, monkeypatch):
    monkeypatch.setenv(tf32.SWITCH, said)
    assert tf32.judged_as("torch", "gpu:0") == judged
    assert tf32.judged_as("torch-bf16", "gpu") == "bfloat16"
