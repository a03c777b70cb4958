"""The null's rates are counted as they were seen, and the load is there while it is wanted."""

import psutil
import pytest

from bench.commands import null
from bench.commands.null import Replay, load_on_purpose, main, summary
from bench.judge.verdict import Judgement
from reports.commands import UsageError
from reports.saved.records import read_run


def replays(wrong, found, count=200):
    return [
        Replay(
            Judgement("SLOWER" if index < wrong else "SAME"),
            Judgement("SLOWER" if index < found else "INCONCLUSIVE", 10),
            1.0, 1.05, 1.01,
        )
        for index in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "found", "passed"),
    [(10, 190, True), (16, 170, True), (17, 190, False), (10, 169, False)],
)
def test_both_rates_must_be_as_they_should(wrong, found, passed):
    lines, verdict = summary(replays(wrong, found))
    assert verdict is passed
    assert f"{wrong} called different, {wrong / 200:.1%} [" in lines[0]
    assert f"{found} called SLOWER, {found / 200:.1%} [" in lines[1]


def test_the_machine_is_loaded_only_within_the_block():
    before = {child.pid for child in psutil.Process().children()}
    with load_on_purpose(0):
        (load,) = [c for c in psutil.Process().children() if c.pid not in before]
        assert load.is_running()
    assert not psutil.pid_exists(load.pid)


@pytest.mark.parametrize(
    "arguments", [["--arms", "openvino"], ["--arms", "torch,max"], ["-t", "9999"], ["-p", "257"]]
)
def test_mistakes_are_told_before_anything_starts(arguments):
    with pytest.raises(UsageError, match="null"):
        main(arguments)


def test_replays_are_played_on_live_workers_and_recorded(tmp_path, capsys):
    """Two replays say nothing about rates; that both were judged is what counts here."""
    code = main(["--replays", "2", "--blocks", "12", "-p", "4", "-o", str(tmp_path / "n")])
    assert code in (0, 1)
    run = read_run(tmp_path / "n")
    assert len(run.of("replay")) == 2
    assert all(replay["ratio"] > 0 for replay in run.of("replay"))
    assert run.end["replays"] == 2
    assert "2 replays of equal code" in capsys.readouterr().out


def test_ctrl_c_keeps_the_replays_that_were_played(tmp_path, monkeypatch, capsys):
    def played(*_):
        yield from replays(1, 2, count=3)
        raise KeyboardInterrupt

    monkeypatch.setattr(null, "_replays", played)
    assert main(["-o", str(tmp_path / "n")]) == 130
    run = read_run(tmp_path / "n")
    assert len(run.of("replay")) == 3
    assert run.end is None
    captured = capsys.readouterr()
    assert "3 replays of equal code: 1 called different" in captured.out
    told = f"bench: interrupted after 3 replays; the records are in {tmp_path / 'n'}"
    assert captured.err == told + "\n"
    assert (tmp_path / "n" / "report.html").is_file()
