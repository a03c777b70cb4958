import numpy as np
import pytest

from verify.faults.catalogue import CATALOGUE
from verify.rules import __main__ as rules
from verify.rules import comparison, contest
from verify.rules.comparison import BEGIN, END, compare, markdown, updated
from verify.rules.contest import OURS, TRACED, Alarm, Catch, alarms, catches
from verify.rules.published import PUBLISHED, Rule
from verify.truth.cases import probe_case, random_cases
from verify.truth.float32 import Blocked

NAMES = [rule.name for rule in PUBLISHED]
LOGITS = np.random.default_rng(0).standard_normal((2, 5, 32)).astype(np.float32)


def rejects(name, found, reference=LOGITS, truth=None):
    """Whether a rule rejects `found` as the logits."""
    rule = PUBLISHED[NAMES.index(name)]
    truth = reference.astype(np.float64) if truth is None else truth
    traces = ({"lm_head": array} for array in (found, reference, truth))
    return rule.rejected(*traces) is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_accepts_the_reference_itself(name):
    assert not rejects(name, LOGITS.copy())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "spoilt",
    [-LOGITS, np.full_like(LOGITS, np.nan), LOGITS[:, :4], LOGITS[:, ::-1]],
    ids=["negated", "nan", "shape", "positions reversed"],
)
def test_a_rule_rejects_what_is_plainly_wrong(name, spoilt):
    assert rejects(name, np.ascontiguousarray(spoilt))


@pytest.mark.parametrize(
    ("name", "within", "beyond"),
    [
        ("logits atol 1e-2", 0.009, 0.011),
        ("atol 1e-4", 0.00009, 0.00011),
        ("assert_close", 0.000009, 0.0001),
    ],
)
def test_an_absolute_bound_lies_where_it_is_said_to_lie(name, within, beyond):
    zeros = np.zeros((1, 2, 8), np.float32)
    assert not rejects(name, zeros + np.float32(within), zeros)
    assert rejects(name, zeros + np.float32(beyond), zeros)


def test_cosine_does_not_see_a_scale():
    """Why a cosine alone is no rule: every activation can be twice what it should be."""
    assert not rejects("cosine 0.9999", 2 * LOGITS)
    assert rejects("NMSE < 1e-2", 2 * LOGITS)


def test_kl_and_top5_do_not_see_a_shift():
    assert not rejects("KL < 1e-3", LOGITS + np.float32(100))
    assert not rejects("top-5", LOGITS + np.float32(100))
    assert rejects("logits atol 1e-2", LOGITS + np.float32(100))


def test_dynamo_forgives_what_float64_forgives_pytorch():
    """Beyond allclose it compares errors to float64, so a candidate nearer to it passes."""
    truth = LOGITS.astype(np.float64)
    reference = (truth + 0.01).astype(np.float32)
    assert not rejects("dynamo same", LOGITS, reference, truth)
    assert rejects("dynamo same", LOGITS + np.float32(1), reference, truth)


def test_the_first_place_is_blamed_in_the_order_of_execution():
    rule = Rule("equal", lambda found, reference, truth: bool((found == reference).all()), "here")
    right = {"a": LOGITS, "ids": np.arange(3), "b": LOGITS, "lm_head": LOGITS}
    wrong = {**right, "b": LOGITS + 1, "lm_head": LOGITS + 1}
    assert rule.rejected(right, right, right) is None
    assert rule.rejected(wrong, right, right) == "b"
    assert rule.rejected({**right, "ids": np.arange(3) + 1}, right, right) == "ids"


def test_a_rule_for_logits_looks_at_nothing_else():
    wrong = {"a": LOGITS + 1, "lm_head": LOGITS}
    right = {"a": LOGITS, "lm_head": LOGITS}
    assert PUBLISHED[NAMES.index("logits atol 1e-2")].rejected(wrong, right, right) is None


@pytest.fixture
def few(monkeypatch, checkpoint):
    """Three faults, one small case and a probe, so that everything runs in seconds."""
    faults = [f for f in CATALOGUE if f.id in ("gelu_erf", "qk_swapped", "mask_-1e4")]
    for module in (contest, comparison):
        monkeypatch.setattr(module, "catalogue", lambda *_: faults)

    def cases(references, regime):
        sized = random_cases(checkpoint.config, regime, [(2, 33)], seed=0, device="cpu")
        return [*sized, probe_case(checkpoint.config, regime, seed=0, device="cpu")]

    monkeypatch.setattr(contest, "fault_cases", cases)
    return faults


def test_this_projects_rule_sees_what_others_do_not(few, checkpoint):
    compared = compare(list(catches(checkpoint, "given")), [])
    by_rule = {score.rule: score for score in compared.scores}
    assert by_rule[OURS].caught == {"gelu_erf", "qk_swapped", "mask_-1e4"}
    assert by_rule[OURS].right == by_rule[OURS].caught
    assert by_rule[TRACED].right == by_rule[TRACED].caught == by_rule[OURS].caught
    assert "qk_swapped" in by_rule["atol 1e-4"].right
    assert by_rule["logits atol 1e-2"].right is None
    assert "gelu_erf" not in by_rule["cosine 0.99"].caught
    assert compared.probe_only == ("mask_-1e4",)


def test_correct_runs_are_accepted_by_this_projects_rule(monkeypatch, checkpoint):
    monkeypatch.setattr(contest, "CORRECT_SIZES", [(1, 9)])
    found = list(alarms(checkpoint, "given", 0))
    assert {alarm.run for alarm in found} == {
        f"{order}, given-{size}, seed 0"
        for order in ("Blocked", "Pairwise")
        for size in ("1x9", "2x33")
    }
    ours = [alarm for alarm in found if alarm.rule in (OURS, TRACED)]
    assert {alarm.rule for alarm in ours} == {OURS, TRACED}
    assert [alarm for alarm in ours if alarm.rejected] == []


def test_a_wrong_run_is_a_false_alarm_of_this_projects_rule(monkeypatch, checkpoint):
    """The test of the test: were an order wrong, its runs would be told as rejected."""

    def tanh(self, x):
        return np.tanh(x) * self.number(1.001)

    monkeypatch.setattr(contest, "CORRECT_SIZES", [(1, 9)])
    monkeypatch.setattr(Blocked, "tanh", tanh)
    rejected = [a for a in alarms(checkpoint, "given", 0) if a.rule == OURS]
    assert any("mlp.act" in (a.rejected or "") for a in rejected if a.run.startswith("Blocked"))


CATCHES = [
    Catch("atol 1e-4", "gelu_erf", True, True, True),
    Catch("atol 1e-4", "relu", True, False, False),
    Catch("atol 1e-4", "mask_-1e4", False, True, True),
    Catch(OURS, "gelu_erf", True, True, True),
    Catch(OURS, "relu", True, True, False),
    Catch(OURS, "mask_-1e4", True, True, True),
    *(Catch(TRACED, fault, True, True, True) for fault in ("gelu_erf", "relu", "mask_-1e4")),
]
ALARMS = [
    Alarm("atol 1e-4", "a", "lm_head"),
    Alarm("atol 1e-4", "b", None),
    Alarm(OURS, "a", None),
    Alarm(TRACED, "a", None),
]


def test_only_applicable_faults_are_counted():
    compared = compare(CATCHES, ALARMS)
    by_rule = {score.rule: score for score in compared.scores}
    assert set(compared.applicable) == {"gelu_erf", "relu", "mask_-1e4"}
    assert compared.probe_only == ("mask_-1e4",)
    assert by_rule["atol 1e-4"].caught == {"gelu_erf"}
    assert (by_rule["atol 1e-4"].false, by_rule["atol 1e-4"].runs) == (1, 2)
    assert by_rule[OURS].right == {"gelu_erf", "mask_-1e4"}
    assert compared.holds


def test_a_false_alarm_or_a_better_rule_is_told():
    alarm = Alarm(OURS, "b", "transformer.h.0: used 1.100")
    assert not compare(CATCHES, [*ALARMS, alarm]).holds
    better = [Catch("KL < 1e-3", fault, True, True, None) for fault in ("gelu_erf", "relu", "x")]
    assert not compare([*CATCHES, *better], ALARMS).holds


def test_the_kill_matrix_has_a_row_for_each_fault():
    text = markdown(compare(CATCHES, ALARMS), "python -m verify.rules --update")
    column = NAMES.index("atol 1e-4") + 2
    cells = {
        line.split("|")[1].strip(): line.split("|") for line in text.splitlines() if "|" in line
    }
    assert (cells["gelu_erf"][column].strip(), cells["gelu_erf"][-2].strip()) == ("x", "x")
    assert (cells["relu"][column].strip(), cells["relu"][-2].strip()) == (".", "x")


def test_only_what_stands_between_the_markers_is_replaced():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = updated(text, "new")
    assert new == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert updated(new, "new") == new


@pytest.mark.parametrize("text", ["none", BEGIN, f"{END} {BEGIN}"])
def test_missing_markers_are_one_sentence(text, monkeypatch, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    monkeypatch.setattr(rules, "README", readme)
    assert rules.main(["--update"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert readme.read_text() == text


def test_no_readme_and_no_such_model_are_one_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(rules, "README", tmp_path / "README.md")
    assert rules.main(["--update"]) == 2
    assert rules.main(["--model", "random:nothing"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
