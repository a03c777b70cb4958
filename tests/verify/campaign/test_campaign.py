import json

import pytest

from reports.saved.records import read_run
from tests.conforming import file_misfits, record_misfits
from tests.processes import started, wait_until
from verify.campaign import seeds as judging
from verify.campaign.__main__ import main, tallies
from verify.campaign.seeds import Campaign
from verify.campaign.tally import LONGEST, Draw, Tally, draw, figures, summary, tally_of
from verify.faults.sighting import Sighting
from verify.fleet.unit import Done
from verify.judge.verdict import Check

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


def tally_with(drawn, margin=9.0, *, used=0.5, verdict="PASS"):
    """A seed's tally: three checks, and one fault that was planted."""
    tally = Tally()
    for mode in ("isolated", "free", "free"):
        tally.add(drawn, check(mode=mode, used=used, verdict=verdict))
    one = Sighting(fault="relu", expected="a", blamed="a", margin=margin, applicable=True)
    tally.power.seen = {drawn.regime: {"relu": (one, f"case {drawn.seed}")}}
    return tally


def test_the_tally_of_a_campaign_is_what_the_records_of_its_seeds_add_up_to(drawn):
    other = Draw(seed=8, regime=drawn.regime, batch=1, length=3)
    parts = [tally_with(drawn, used=0.5), tally_with(other, 12.0, used=float("nan"))]
    records = json.loads(json.dumps(
        [parts[0].record(drawn), parts[1].record(other)]
    ).replace("NaN", '"nan"'))  # fmt: skip
    tally = tally_of(records)
    assert (tally.seeds, tally.checks["free"], tally.checks["isolated"]) == (2, 4, 2)
    assert tally.nearest["free"].seed == 7
    assert tally.power.seen[drawn.regime]["relu"][1] == "case 8"
    assert records[0]["verdicts"] == {"isolated": "P", "free": "PP"}
    assert tally.passed


def test_a_fault_that_is_infinitely_far_is_read_back(drawn):
    record = tally_with(drawn, float("inf")).record(drawn)
    assert record["faults"][0]["margin"] == "inf"
    assert tally_of([record]).faults() == {drawn.regime: (1, 1)}


def test_an_alarm_is_read_back_as_it_was(drawn):
    tally = tally_with(drawn, verdict="FAIL")
    again = tally_of([tally.record(drawn)])
    assert again.alarms == tally.alarms
    assert not again.passed


def test_seeds_of_unlike_machines_are_counted_apart(drawn):
    records = (tally_with(drawn).record(drawn),)
    found = [
        Done(f"seed {n}", "", records, 1.0, "here", machine) for n, machine in enumerate("aba")
    ]
    tally, machines = tallies(found)
    assert (tally.seeds, {name: part.seeds for name, part in machines.items()}) == (
        3, {"a": 2, "b": 1},
    )  # fmt: skip


class Stub:
    """Stands for a campaign: seed 2 raises an alarm, seed 4 is when the user presses Ctrl-C."""

    alarm_at: int | None = 2
    interrupt_at: int | None = None
    broken_at: int | None = None
    quick = True
    judged_seeds: tuple[int, ...] = ()

    def __init__(self, checkpoint, candidate, device, dtype, *, quick):
        self.checkpoint = checkpoint

    def judged(self, drawn):
        Stub.judged_seeds += (drawn.seed,)
        if drawn.seed == self.interrupt_at:
            raise KeyboardInterrupt
        if drawn.seed == self.broken_at:
            raise ArithmeticError("out of numbers")
        tally = Tally()
        tally.add(drawn, check(verdict="FAIL" if drawn.seed == self.alarm_at else "PASS", used=1.5))
        return tally


@pytest.fixture
def stub(monkeypatch, tmp_path):
    monkeypatch.setattr(judging, "Campaign", Stub)
    monkeypatch.setattr(Stub, "judged_seeds", ())
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path / "root"))
    judging.prepared.cache_clear()
    yield Stub
    judging.prepared.cache_clear()


def quick(*options):
    return main(["--model", "random:tiny", "--quick", *map(str, options)])


def test_a_false_alarm_is_printed_and_ends_with_1(stub, capsys, tmp_path):
    path = tmp_path / "figures.json"
    assert quick("--seeds", 4, "--json", path) == 1
    printed = capsys.readouterr()
    assert "false alarm: seed 2" in printed.out
    assert "false alarm: seed 2" in printed.err
    assert "Seeds: 4. False alarms: 1 of 4 checks" in printed.out
    written = json.loads(path.read_text())
    assert file_misfits("campaign", path) == []
    assert (written["seeds"], written["passed"]) == (4, False)
    assert written["false_alarms"][0]["seed"] == 2


def test_no_false_alarm_ends_with_0_and_every_seed_is_recorded(stub, monkeypatch, tmp_path):
    monkeypatch.setattr(stub, "alarm_at", None)
    assert quick("--seeds", 3, "--out", tmp_path / "run") == 0
    run = read_run(tmp_path / "run")
    assert [unit["key"] for unit in run.of("unit")] == ["seed 0", "seed 1", "seed 2"]
    assert (run.end["verdict"], run.end["seeds"]) == ("PASS", 3)
    assert record_misfits(tmp_path / "run") == []
    assert (tmp_path / "run" / "report.html").exists()


def test_ctrl_c_prints_what_there_is_and_how_to_go_on(stub, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(stub, "interrupt_at", 3)
    assert quick("--seeds", 9, "--out", tmp_path / "run") == 130
    captured = capsys.readouterr()
    assert "Seeds: 3. False alarms: 1 of 3 checks" in captured.out
    told = "campaign: interrupted; the table shows the 3 seeds that were judged\n"
    assert captured.err.endswith(told)
    assert f"--seeds 9 --out {tmp_path / 'run'}" in captured.err


def test_a_campaign_that_was_stopped_is_gone_on_with(stub, monkeypatch, capsys, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert quick("--seeds", 6, "--out", whole) == 1
    monkeypatch.setattr(stub, "interrupt_at", 4)
    assert quick("--seeds", 6, "--out", parts) == 130
    monkeypatch.setattr(stub, "interrupt_at", None)
    monkeypatch.setattr(stub, "judged_seeds", ())
    assert quick("--seeds", 6, "--out", parts) == 1
    assert stub.judged_seeds == (4, 5)
    ends = [read_run(folder).end for folder in (whole, parts)]
    assert all(end.pop("finished_utc") for end in ends)
    assert ends[0] == ends[1]


def test_a_seed_that_cannot_be_judged_is_an_error_and_is_judged_again(
    stub, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(stub, "alarm_at", None)
    monkeypatch.setattr(stub, "broken_at", 1)
    assert quick("--seeds", 3, "--out", tmp_path / "run") == 2
    assert "1 seeds could not be judged: ArithmeticError: out of numbers" in capsys.readouterr().err
    assert read_run(tmp_path / "run").end is None
    monkeypatch.setattr(stub, "broken_at", None)
    assert quick("--seeds", 3, "--out", tmp_path / "run") == 0


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
    assert quick("--seeds", 9, "--budget", "0.001s") == 0
    printed = capsys.readouterr()
    assert "Seeds: 1." in printed.out
    assert "to go on" in printed.err


@pytest.mark.parametrize(
    "options",
    [
        ["--seeds", "0"],
        ["--start", "-1"],
        ["--json", "no/such/x"],
        ["--model", "random:x"],
        ["--on", "slurm"],
        ["--on", "ray", "--candidate", "a.py:A"],
    ],
)
def test_wrong_options_are_one_sentence(stub, options, capsys):
    assert main(options) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.compiles
def test_the_correct_model_passes_and_its_faults_are_caught(candidate, checkpoint):
    short = Draw(seed=10, regime="perturbed", batch=2, length=9)
    tally = Campaign(checkpoint, candidate, "cpu").judged(short)
    assert tally.alarms == []
    caught, applicable = tally.faults()["perturbed"]
    assert caught == applicable > 40
    assert tally.checks["isolated"] == 2 * len(candidate.forced_taps)
    assert tally.checks["logits"] == 1
    assert figures(tally)["checks"] == tally.checks
    assert tally.passed
