import json
from types import SimpleNamespace

import pytest

from tests.conforming import file_misfits
from tests.processes import started, wait_until
from verify import campaign as module
from verify.campaign import Campaign, main
from verify.faults.sighting import Sighting
from verify.judge.verdict import Check
from verify.tally import LONGEST, Tally, draw, figures, summary

SEEDS = range(400)


def check(mode="free", verdict="PASS", used=0.5, tap="lm_head"):
    return Check(case="stress-2x9", mode=mode, tap=tap, verdict=verdict, used=used, message="why")


@pytest.fixture
def drawn(checkpoint):
    return draw(checkpoint.config, 7)


def test_a_seed_always_draws_the_same(checkpoint):
    assert draw(checkpoint.config, 7) == draw(checkpoint.config, 7)


def test_seeds_cover_every_regime_batch_and_the_full_length(checkpoint):
    draws = [draw(checkpoint.config, seed) for seed in SEEDS]
    assert {d.regime for d in draws} == {"given", "init", "perturbed", "stress"}
    assert {d.batch for d in draws} == {1, 2, 3, 4, 5}
    lengths = {d.length for d in draws}
    assert {1, LONGEST, checkpoint.config.n_positions} <= lengths
    assert len(lengths) > 40


def test_whatever_does_not_pass_is_a_false_alarm_with_its_details(drawn):
    tally = Tally()
    assert tally.add(drawn, check()) is None
    alarm = tally.add(drawn, check(verdict="FAIL", used=1.2345, tap="transformer.h.3.attn"))
    assert tally.alarms == [alarm]
    assert str(alarm) == "seed 7, stress-2x9, free, transformer.h.3.attn: used 1.234 why"
    assert tally.checks["free"] == 2
    assert tally.nearest["free"] is alarm or tally.nearest["free"] == alarm
    assert not tally.passed


def test_an_error_or_a_missing_figure_is_no_pass(drawn):
    tally = Tally()
    assert tally.add(drawn, check(verdict="ERROR", used=None))
    assert "used -" in str(tally.alarms[0])


def test_checks_of_the_run_itself_are_not_counted(drawn):
    tally = Tally()
    tally.add(drawn, check(mode="observer", verdict="FAIL"))
    assert sum(tally.checks.values()) == 0
    assert tally.passed


def sighting(*, caught, applicable=True):
    blamed = "a" if caught else None
    return Sighting(fault="relu", expected="a", blamed=blamed, margin=9.0, applicable=applicable)


def test_a_missed_fault_counts_in_each_regime_where_it_applies():
    tally = Tally()
    tally.power.seen = {
        "stress": {"relu": (sighting(caught=False), "stress-2x9")},
        "given": {"relu": (sighting(caught=True), "given-2x9")},
        "init": {"relu": (sighting(caught=False, applicable=False), "init-2x9")},
    }
    assert tally.faults() == {"given": (1, 1), "init": (0, 0), "stress": (0, 1)}
    assert tally.missed() == ["relu, stress, stress-2x9: blamed on nothing, margin 9.00"]
    assert not tally.passed
    assert "1 of 1 (given)" in summary(tally)


class Stub:
    """Stands for a campaign: seed 2 raises an alarm, seed 4 is when the user presses Ctrl-C."""

    alarm_at: int | None = 2
    interrupt_at: int | None = None

    def __init__(self, checkpoint, candidate, device, dtype, *, quick):
        self.tally, self.quick = Tally(), quick
        self.config = checkpoint.config

    def run(self, seed):
        if seed == self.interrupt_at:
            raise KeyboardInterrupt
        verdict = "FAIL" if seed == self.alarm_at else "PASS"
        alarm = self.tally.add(draw(self.config, seed), check(verdict=verdict, used=1.5))
        self.tally.seeds += 1
        return [alarm] if alarm else []


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(module, "Campaign", Stub)
    monkeypatch.setattr(module, "trace_model", lambda *_: SimpleNamespace(compile=lambda: None))
    return Stub


def test_a_false_alarm_is_printed_and_ends_with_1(stub, capsys, tmp_path):
    path = tmp_path / "figures.json"
    assert main(["--model", "random:tiny", "--seeds", "4", "--json", str(path)]) == 1
    out = capsys.readouterr().out
    assert "false alarm: seed 2" in out
    assert "Seeds: 4. False alarms: 1 of 4 checks" in out
    written = json.loads(path.read_text())
    assert file_misfits("campaign", path) == []
    assert (written["seeds"], written["passed"]) == (4, False)
    assert written["false_alarms"][0]["seed"] == 2


def test_no_false_alarm_ends_with_0(stub, monkeypatch):
    monkeypatch.setattr(stub, "alarm_at", None)
    assert main(["--model", "random:tiny", "--seeds", "3"]) == 0


def test_ctrl_c_prints_what_there_is(stub, monkeypatch, capsys):
    monkeypatch.setattr(stub, "interrupt_at", 3)
    assert main(["--model", "random:tiny", "--seeds", "9"]) == 130
    captured = capsys.readouterr()
    assert "Seeds: 3. False alarms: 1 of 3 checks" in captured.out
    told = "campaign: interrupted; the table shows the 3 seeds that were judged\n"
    assert captured.err.endswith(told)


@pytest.mark.compiles
def test_sigterm_is_heard_while_max_compiles(tmp_path):
    cache = tmp_path / "cache"
    command = "verify.campaign", "--model", "random:tiny"
    with started(*command, MODULAR_DERIVED_PATH=str(cache)) as campaign:
        assert "compiling" in campaign.stderr.readline()
        assert wait_until(lambda: any(cache.rglob("*")))
        campaign.terminate()
        _, errors = campaign.communicate(timeout=300)
    assert campaign.returncode == 143
    assert errors.endswith("campaign: ended by SIGTERM before anything was judged\n")


def test_a_spent_budget_ends_it(stub, capsys):
    assert main(["--model", "random:tiny", "--seeds", "9", "--budget", "0.001s"]) == 0
    assert "Seeds: 1." in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [["--seeds", "0"], ["--start", "-1"], ["--json", "no/such/x"], ["--model", "random:x"]],
)
def test_wrong_options_are_one_sentence(stub, options, capsys):
    assert main(options) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.compiles
def test_the_correct_model_passes_and_its_faults_are_caught(candidate, checkpoint, monkeypatch):
    short = module.Draw(seed=10, regime="perturbed", batch=2, length=9)
    monkeypatch.setattr(module, "draw", lambda config, seed: short)
    campaign = Campaign(checkpoint, candidate, "cpu")
    assert list(campaign.run(10)) == []
    caught, applicable = campaign.tally.faults()["perturbed"]
    assert caught == applicable > 40
    assert campaign.tally.checks["isolated"] == 2 * len(candidate.forced_taps)
    assert campaign.tally.checks["logits"] == 1
    assert figures(campaign.tally)["passed"]
