"""A peer runs with its own interpreter, or is skipped with the command that installs it."""

import json
import sys

import numpy as np
import pytest

from bench import peers
from bench.arms.specs import ARMS, PEER_ARMS, spec_of
from bench.match.turns import PROBE_BLOCK, probe_of
from bench.peers import VARIABLE, python_for
from bench.worker.process import Worker
from bench.workload.workload import Workload, prompt_ids
from reports.saved.machine import all_flags

PP4 = Workload(batch=2, n_prompt=4)
PP4_LAST = Workload(batch=2, n_prompt=4, logits="last")
TG3 = Workload(batch=2, n_gen=3, n_depth=4)
ARGUMENTS = ["--model", "random:tiny", "--threads", "1", "--workloads"]


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def test_without_an_environment_the_reason_is_the_command(environment):
    for name in PEER_ARMS:
        python, reason = python_for(spec_of(name))
        assert python is None
        assert "run `python -m bench peers` first" in reason


def test_one_peer_that_is_missing_is_named(environment):
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(sys.executable)
    packages = environment / "lib" / "python3.11" / "site-packages"
    (packages / "openvino").mkdir(parents=True)
    (packages / "openvino" / "__init__.py").write_text("")
    assert python_for(ARMS["openvino"]) == (environment / "bin" / "python", "")
    _, reason = python_for(ARMS["ctranslate2"])
    assert reason.startswith("ctranslate2 not installed")


def test_other_arms_have_this_interpreter(environment):
    assert python_for(ARMS["torch"]) == (None, "")


@pytest.mark.parametrize("name", PEER_ARMS)
def test_a_peer_computes_what_pytorch_does(name, tmp_path):
    """Every peer that is installed, in its own process, judged as in a benchmark."""
    from bench.worker.referee import Referee
    from reference.load import load

    python, reason = python_for(ARMS[name])
    if reason:
        pytest.skip(reason)
    referee = Referee(load("random:tiny"), 1)
    workloads = json.dumps([w.as_dict() for w in (PP4, PP4_LAST, TG3)])
    with Worker([name, *ARGUMENTS, workloads], tmp_path / "log", python=python) as worker:
        assert worker.receive()["runtime"]
        for workload in (PP4, PP4_LAST, TG3):
            output = tmp_path / "out.npy"
            worker.ask(
                {"op": "turn", "workload": workload.as_dict(), "block": 5, "calls": 1,
                 "output": str(output)}
            )  # fmt: skip
            ids = prompt_ids(workload, 1024, 0, 5)
            found = referee.check(workload, ids, np.load(output), ARMS[name].judged_as)
            assert found.agreed, found.message


@pytest.mark.parametrize(
    ("name", "expected"), [("openvino", "float32"), ("openvino-bf16", "bfloat16")]
)
def test_a_runtime_that_computes_in_bfloat16_is_known_by_its_error(name, expected, tmp_path):
    """OpenVINO takes bfloat16 by itself where it is not told to take float32."""
    from bench.worker.referee import Referee
    from reference.load import load

    python, reason = python_for(ARMS[name])
    if reason:
        pytest.skip(reason)
    if expected == "bfloat16" and not {"avx512f", "amx_bf16", "bf16"} & set(all_flags()):
        pytest.skip("OpenVINO computes in float32 on this CPU, whatever it is told")
    referee = Referee(load("random:tiny"), 1)
    workloads = json.dumps([TG3.as_dict()])
    with Worker([name, *ARGUMENTS, workloads], tmp_path / "log", python=python) as worker:
        worker.receive()
        probe, output = probe_of([TG3]), tmp_path / "out.npy"
        asked = {"workload": probe.as_dict(), "block": PROBE_BLOCK, "calls": 1}
        worker.ask({"op": "turn", **asked, "output": str(output)})
        ids = prompt_ids(probe, 1024, 0, PROBE_BLOCK)
        found = referee.exactness(probe, ids, np.load(output))
        assert found.error_class == expected, found.relative


def test_installing_one_peer_that_fails_does_not_cost_the_others(tmp_path, monkeypatch):
    asked = []

    class Done:
        def __init__(self, code):
            self.returncode = code

        def check_returncode(self):
            assert self.returncode == 0

    def pip(python, arguments):
        asked.append(list(arguments))
        return Done(1 if "llama-cpp-python[server]" in arguments else 0)

    monkeypatch.setattr(peers, "_pip", pip)
    monkeypatch.setattr(peers.venv, "create", lambda *a, **k: None)
    assert peers.install(tmp_path) == ["llama-cpp-python[server]"]
    assert ["onnxruntime"] in asked
    assert ["ctranslate2"] in asked
