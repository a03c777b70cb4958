"""The six answers: their order, their verdicts, and what keeps one from being given."""

import json

import pytest
from max.engine import InferenceSession

from tests.verify.package.packages import custom_package, own_registry
from verify.judge.verdict import Check
from verify.package.answers import Answered, PackagePlan, verify_package
from verify.package.installed.found import find, for_checkpoint, widen
from verify.package.names import ANSWERS
from verify.package.reading.drawn import draw


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("drawn") / "llama"
    draw("LlamaForCausalLM", made)
    return made


def asked(package, folder, *answers, **options):
    found = widen(for_checkpoint(find(str(package)), folder), "float32")
    plan = PackagePlan(found=found, folder=folder, quick=True, answers=answers, **options)
    emitted = []
    return verify_package(plan, emitted.append), emitted


def test_answers_are_given_in_their_order_with_their_seconds(folder):
    outcome, emitted = asked("LlamaForCausalLM", folder, "power", "weights", "mathematics")
    assert list(outcome.answers.items()) == [
        ("preflight", "PASS"), ("weights", "PASS"), ("mathematics", "PASS"), ("power", "PASS"),
    ]  # fmt: skip
    assert outcome.verdict == "PASS"
    assert emitted == outcome.checks
    told = outcome.more()["answers"]
    assert list(told) == list(outcome.answers)
    assert all(one["seconds"] >= 0 for one in told.values())


def test_a_package_that_does_not_open_is_asked_nothing_else(folder, tmp_path):
    edit = ("llama3.py", "in_dim=config.hidden_size", "in_dim=config.hidden_size + 1")
    with own_registry():
        package = custom_package(tmp_path, "llama3", v3=True, edits=[edit])
        outcome, _ = asked(package, folder, "weights", "mathematics")
    assert outcome.answers == {"preflight": "FAIL"}


def test_a_field_that_is_not_followed_fails_a_drawn_model_alone(folder, tmp_path):
    """On a user's checkpoint its own value counts, which the mathematics judges."""
    outcome, _ = asked("LlamaForCausalLM", folder, "configuration", drawn=True)
    ignored = {c.tap for c in outcome.checks if c.mode == "configuration" and c.verdict == "FAIL"}
    assert "mlp_bias" in ignored
    theirs, _ = asked("LlamaForCausalLM", folder, "configuration")
    listed = {c.tap for c in theirs.checks if c.mode == "configuration" and c.verdict == "SKIP"}
    assert ignored <= listed
    assert theirs.answers["configuration"] == "PASS"


def test_an_answer_that_asks_nothing_is_skipped():
    nothing = Check(case="graph", mode="math", tap="", verdict="SKIP", message="not known")
    assert Answered(given={"mathematics": [nothing]}).answers == {"mathematics": "SKIP"}


def test_the_outcome_can_be_written_as_json(folder):
    outcome, _ = asked("LlamaForCausalLM_ModuleV3", folder, "mathematics")
    assert json.loads(json.dumps(outcome.more()))["answers"]["mathematics"]["verdict"] == "PASS"


def test_nothing_is_compiled_for_the_first_five(folder, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a program is compiled")

    for name in ("compile", "compile_reusing_mefs", "load", "load_all"):
        monkeypatch.setattr(InferenceSession, name, refuse)
    outcome, _ = asked("LlamaForCausalLM", folder, *ANSWERS)
    assert list(outcome.answers) == list(ANSWERS[:-1])
    assert "ERROR" not in outcome.answers.values()


def test_what_a_package_raises_in_the_middle_is_an_answer(folder, tmp_path):
    edit = ("batch_processor.py", "return Llama3Inputs(",
            "assert tokens.shape[0] < 9\n        return Llama3Inputs(")  # fmt: skip
    with own_registry():
        package = custom_package(tmp_path, "llama3", v3=True, edits=[edit])
        outcome, _ = asked(package, folder, "mathematics")
    assert outcome.answers["mathematics"] == "ERROR"
    assert "the package raises AssertionError" in outcome.checks[-1].message


def test_a_checkpoint_in_16_bits_is_judged_and_not_compiled(tmp_path):
    """MAX serves it on accelerators; nothing of its mathematics depends on that."""
    narrow = tmp_path / "narrow"
    draw("LlamaForCausalLM", narrow, dtype="bfloat16")
    found = for_checkpoint(find("LlamaForCausalLM_ModuleV3"), narrow)
    plan = PackagePlan(found=found, folder=narrow, answers=("mathematics", "compiled"))
    outcome = verify_package(plan)
    assert outcome.answers == {"preflight": "PASS", "mathematics": "PASS", "compiled": "SKIP"}
    assert not outcome.compiled
    assert "accelerators alone" in outcome.checks[-1].message
