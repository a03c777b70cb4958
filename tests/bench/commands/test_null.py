"""The null's rates are counted as they were seen, and the load is there while it is wanted."""

import argparse

import psutil
import pytest

from bench.commands import finish, null
from bench.commands.null import load_on_purpose, main
from bench.judge.estimate import Estimate, with_bounds
from bench.judge.luck import Pool
from bench.results.replays import PARTS, Replay, record_of, replay_of, summary
from reports.commands import UsageError, open_console
from reports.saved.records import RunWriter, read_run
from tests.bench.helpers import plan


def ratio(value, error=0.005):
    return with_bounds(
        Estimate(
            value, generations=5, quads=30, error=error, freedom=8.0, between=2e-5, within=6e-4
        )
    )


def replays(wrong, found, count=200):
    """Of so many, `wrong` call equal code different, and `found` find what was planted."""
    return [
        Replay(
            index // 20,
            {
                "equal": ratio(1.03 if index < wrong else 1.001),
                "again": ratio(1.0),
                "slower 2%": ratio(1.02 if index < found else 1.005),
                "slower 5%": ratio(1.05),
            },
        )
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("wrong", "found", "passed"),
    [(10, 190, True), (0, 150, True), (60, 190, False), (10, 149, False)],
)
def test_all_rates_must_be_as_they_should(wrong, found, passed):
    called = summary(replays(wrong, found))
    lines = [one.sentence for one in called]
    assert all(one.passed for one in called) is passed
    assert called[0].record()["called"] == wrong
    assert f"200 replays of equal code: {wrong} called different, {wrong / 200:.1%} [" in lines[0]
    assert "200 replays of the null: 0 called different" in lines[1]
    assert f"{found} called SLOWER, {found / 200:.1%} [" in lines[2]
    assert "median ratio 1.050" in lines[3]
    assert "100 comparisons of two runs of the same code" in lines[4]


def test_false_alarms_of_one_pool_alone_are_known_to_belong_together():
    scattered, together = replays(0, 200), replays(20, 200)
    for index in range(0, 200, 10):
        scattered[index] = Replay(
            scattered[index].group, {**scattered[index].ratios, "equal": ratio(1.03)}
        )
    assert "10.0% [6.2%, 15.0%]" in summary(scattered)[0].sentence
    low, high = summary(together)[0].sentence.partition("[")[2].split("]")[0].split(", ")
    assert float(high[:-1]) - float(low[:-1]) > 20


def test_a_replay_is_read_as_it_was_written():
    (replay,) = replays(1, 1, count=1)
    again = replay_of(record_of(replay, 1))
    assert again.group == replay.group
    for part in PARTS[1:]:
        assert again.ratios[part] == replay.ratios[part]
        assert again.verdict(part) == replay.verdict(part)


def test_the_rates_of_a_null_that_was_killed_are_made_of_its_replays(tmp_path, capsys):
    with RunWriter("bench", command=[], environment={}, out=tmp_path / "n") as writer:
        for number, replay in enumerate(replays(1, 20, count=20)):
            writer.write(record_of(replay, number + 1))
    assert finish.main([str(tmp_path / "n")]) == 0
    assert "20 replays of equal code: 1 called different" in capsys.readouterr().out
    assert len(read_run(tmp_path / "n").of("called")) == 5
    assert "called different" in (tmp_path / "n" / "report.html").read_text()
    assert finish.main([str(tmp_path / "n")]) == 0
    assert "has the results" in capsys.readouterr().out


def test_the_machine_is_loaded_only_within_the_block():
    before = {child.pid for child in psutil.Process().children()}
    with load_on_purpose(0):
        (load,) = [c for c in psutil.Process().children() if c.pid not in before]
        assert load.is_running()
    assert not psutil.pid_exists(load.pid)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--arms", "openvino"], ["--arms", "torch,max"], ["-t", "9999"], ["-p", "257"],
        ["--pool", "23"], ["--pool", "24", "--processes", "5"], ["--processes", "2"],
    ],
)  # fmt: skip
def test_mistakes_are_told_before_anything_starts(arguments):
    with pytest.raises(UsageError, match="null"):
        main(arguments)


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


@pytest.mark.parametrize(("pressure", "kept"), [(3.0, True), (None, True), (60.0, False)])
def test_what_processes_differ_by_is_kept_unless_the_machine_was_busy(
    pressure, kept, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MAX_GPT2_BENCH_CACHE", str(tmp_path))
    luck = Pool(between=1e-5, spread=3e-5, noise=2e-5, freedom=20)
    options = argparse.Namespace(pool=30)
    null._keep(open_console(), plan(["torch"]), [Replay(0, {}, luck, pressure)], options)
    assert (tmp_path / "processes.json").exists() is kept
    assert "torch differ by 0.22%" in " ".join(capsys.readouterr().out.split())
