"""Is it the same mathematics? Judged on the traced graph, in float64, without a compile."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from impl.config import GPT2Config
from impl.runtime import build, open_device
from reference.checkpoint import Checkpoint
from reference.load import load
from reference.regimes import initial_weights, with_regime
from reports.saved.artefacts import read_artefacts
from reports.saved.records import read_run
from verify.candidate.model_graphs import trace_model
from verify.cli import main
from verify.mathematics import MathematicsRun, power_checks, sizes_of
from verify.outcome import Outcome
from verify.run import Plan, verify
from verify.truth.cases import PROBE_SIZE

pytestmark = pytest.mark.usefixtures("nothing_is_compiled")

MODELS = Path(__file__).parent / "models"


@pytest.fixture(scope="module")
def outcome():
    found = []
    plan = Plan(checkpoint=load("tiny"), regimes=("given", "stress"), quick=True)
    return verify(plan, emit=found.append), found


def test_impls_model_is_gpt2_at_every_place(outcome):
    found, emitted = outcome
    assert found.verdict == "PASS"
    assert not found.compiled
    assert emitted == found.checks
    alone = [check for check in found.checks if check.mode == "math"]
    assert {check.tap for check in alone} == set(found.order)
    assert {check.regime for check in alone} == {"given", "stress"}
    assert max(check.relative for check in alone) < 1e-14


def test_every_fault_of_the_catalogue_is_caught_in_float64(outcome):
    power = [check for check in outcome[0].checks if check.mode == "math-power"]
    assert len(power) == 51
    assert {check.verdict for check in power} == {"PASS"}
    assert min(check.details["margin"] for check in power) > 1e9


def test_spoilt_results_are_rejected_too(outcome):
    controls = [check for check in outcome[0].checks if check.mode == "math-control"]
    assert {check.verdict for check in controls} == {"PASS"}
    assert any("rounded-to-float32" in check.case for check in controls)


def test_what_only_a_compiled_program_shows_is_not_asked(outcome):
    modes = {check.mode for check in outcome[0].checks}
    of_graph = {"math", "math-free", "math-range", "math-control", "math-power", "math-mutants"}
    assert modes == of_graph | {"device"}


def test_a_long_case_is_there_for_its_length_alone(outcome):
    length = load("tiny").config.n_positions
    long = {check.mode for check in outcome[0].checks if check.length == length}
    assert long == {"math", "math-range"}


@pytest.mark.parametrize(("first", "count"), [(True, 4), (False, 1)])
def test_the_first_regime_has_the_sizes_that_faults_need(first, count):
    sizes = sizes_of(load("tiny").config, first=first)
    assert len(sizes) == count
    assert PROBE_SIZE in sizes


def test_faults_that_no_case_shows_are_said():
    checkpoint, device = load("random:tiny"), open_device("cpu")
    outcome = Outcome()
    run = MathematicsRun(
        checkpoint, trace_model(build(checkpoint.config, device), device), "given", [(1, 9)],
        seed=0, dtype="float32", outcome=outcome, status=lambda _: None,
    )  # fmt: skip
    checks = list(run.checks())
    assert {check.verdict for check in checks if check.mode != "coverage"} == {"PASS"}
    (short,) = [check.message for check in checks if check.verdict == "SKIP"]
    assert short.startswith("no input is longer than ")
    skipped = {check.case for check in power_checks(outcome) if check.verdict == "SKIP"}
    assert "batch_over_9" in skipped


def test_the_command_blames_a_wrong_activation_and_compiles_nothing(tmp_path, capsys):
    file = f"{MODELS / 'gelu_erf.py'}:model"
    out = tmp_path / "run"
    assert main(["--candidate", file, "--regimes", "given", "--out", str(out)]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "First divergence: h.3.mlp.act (math, given-1x1)" in said
    assert "Diagnosis: h.3.mlp.act: found 0.5 x (1 + erf(x / sqrt(2)))" in said
    assert "Verdict: FAIL, not compiled" in said
    end = read_run(out).end
    assert (end["verdict"], end["compiled"]) == ("FAIL", False)
    assert (out / "report.html").is_file()
    kept = read_artefacts(out).arrays  # of the graph in float64, which nothing was compiled for
    assert {path.partition("/whole/")[2] for path in kept if "/whole/" in path} == {
        f"transformer.h.3.mlp.act/{name}"
        for name in ("error", "candidate", "oracle", "allowed", "shape", "cell", "heads")
    }
    assert any("/window/transformer.h.3.mlp.act/oracle" in path for path in kept)


def test_quick_says_that_nothing_was_compiled_and_passes(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["--quick", "--regimes", "given", "--lengths", "9", "--out", str(out)]) == 0
    assert "Verdict: PASS, not compiled" in capsys.readouterr().out


OTHERS = {
    "gelu": ({"activation_function": "gelu"}, "gelu_new", "0.5 x (1 + erf(x / sqrt(2)))"),
    "by layer": ({"scale_attn_by_inverse_layer_idx": True}, "layer_scale_missing",
                 "scores divided by sqrt(head_dim) (layer + 1)"),
    "unscaled": ({"scale_attn_weights": False}, "scale_applied", "divided by nothing"),
}  # fmt: skip
"""What a checkpoint computes otherwise, what OpenAI's GPT-2 is then called, and what is right."""


@pytest.fixture(params=OTHERS)
def other(request, tmp_path):
    """A checkpoint's folder in PyTorch's own file, and what OpenAI's GPT-2 is told of it."""
    options, fault, right = OTHERS[request.param]
    config = {**SMALL, **options}
    start = Checkpoint(name="s", config=GPT2Config(**SMALL), weights={})
    weights = with_regime(
        replace(start, weights=initial_weights(start.config, 0)), "perturbed", seed=0
    ).weights
    (tmp_path / "config.json").write_text(json.dumps(config))
    state = {name: torch.from_numpy(array) for name, array in weights.items()}
    torch.save(state, tmp_path / "pytorch_model.bin")
    return tmp_path, fault, right


SMALL = {"vocab_size": 40, "n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 4}


def test_impls_model_follows_a_checkpoint_of_other_functions(other, tmp_path, capsys):
    out = tmp_path / "run"
    asked = ["--quick", "--model", str(other[0]), "--regimes", "given", "--out", str(out)]
    assert main(asked) == 0
    said = capsys.readouterr().out
    note = "Checkpoint: read from pytorch_model.bin: tensors alone, nothing in it is run"
    assert said.count(note) == 1
    assert note in (out / "report.html").read_text()
    assert "planted faults" in said


def test_openais_model_is_wrong_for_a_checkpoint_of_other_functions(other, tmp_path, capsys):
    folder, fault, right = other
    file = f"{MODELS / 'openais.py'}:GPT2"
    asked = ["--quick", "--model", str(folder), "--candidate", file, "--regimes", "given"]
    assert main([*asked, "--out", str(tmp_path / "run")]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"[{fault}]" in said
    assert "this GPT-2 has" in said
    assert right in said


WANDERING = """
import sys, time
sys.path.insert(0, {models!r})
import own_names


class Wandering(own_names.MyGPT):
    def forward(self, ids):
        return super().forward(ids) * (1.0 + time.time())
"""


def test_a_candidate_that_traces_differently_each_time_is_one_sentence(tmp_path, capsys):
    file = tmp_path / "wandering.py"
    file.write_text(WANDERING.format(models=str(MODELS)))
    assert main(["--quick", "--candidate", f"{file}:Wandering"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("verify: two traces of Wandering differ")
    assert err.count("\n") == 1


RANDOM = """
import sys
sys.path.insert(0, {models!r})
import own_names
from max.experimental import random


class Dropping(own_names.MyGPT):
    def forward(self, ids):
        logits = super().forward(ids)
        return logits * random.uniform(logits.shape, range=(0.9, 1.1))
"""


def test_a_random_operation_is_named(tmp_path, capsys):
    file = tmp_path / "dropping.py"
    file.write_text(RANDOM.format(models=str(MODELS)))
    code = main(["--quick", "--candidate", f"{file}:Dropping", "--out", str(tmp_path / "run")])
    said = capsys.readouterr()
    assert code == 2, said.out + said.err
    assert "random" in said.out + said.err
