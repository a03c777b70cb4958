"""Two runs are compared by what changed beside their baselines, and only if they are alike."""

import json

import pytest

from bench.commands.compare import main
from bench.results.effects import make_effects, make_nulls
from bench.results.rows import make_rows
from reports.__main__ import main as reports_main
from reports.commands import UsageError
from reports.saved.records import RunWriter
from tests.bench.helpers import contestant, group
from tests.conforming import file_misfits

ENVIRONMENT = {
    "cpu": "A", "usable_cpus": 2, "threads": [2], "weights_sha256": "w",
    "versions": {"torch": "2.13.0", "max": "26.7.0"},
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """Save a run in which MAX takes `milliseconds`, on a machine that is slower by `machine`."""

    def save(name, milliseconds, *, machine=1.0, environment=ENVIRONMENT, processes=4, **fields):
        shape = {"quads": 12 // processes, "processes": processes}
        arms = [
            contestant("max", milliseconds * machine, jitter=0.02, **shape, **fields),
            contestant("torch", 10.0 * machine, jitter=0.01, **shape),
            contestant("torch#2", 10.0 * machine, jitter=0.02, **shape),
        ]
        made = group(*arms)
        rows = make_rows(made, {})
        with RunWriter("bench", command=[], environment=environment, out=tmp_path / name) as writer:
            for arm in arms:
                for sample in arm.samples["pp8 b2"]:
                    writer.write({**arm.place(made.plan.workloads[0]), **sample})
            for record in (*rows, *make_nulls(made, rows), *make_effects(made, rows)):
                writer.write(record)
            writer.finish({})
        return str(tmp_path / name)

    return save


def test_a_slower_arm_is_a_regression(run, capsys):
    assert main([run("a", 5.0), run("b", 6.0)]) == 1
    text = capsys.readouterr().out
    assert "SLOWER" in text
    assert "1.200" in text


def test_a_faster_arm_is_none(run, capsys):
    assert main([run("a", 6.0), run("b", 5.0)]) == 0
    assert "FASTER" in capsys.readouterr().out


def test_a_slower_machine_is_no_regression(run, capsys):
    assert main([run("a", 5.0), run("b", 5.0, machine=1.5)]) == 0
    assert "SLOWER" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cpu": "B"}, "cpu is 'A' and 'B'; `--despite machine`"),
        ({"threads": [1]}, "--despite threads"),
        ({"weights_sha256": "v"}, "--despite weights"),
        ({"versions": {"torch": "2.12.0"}}, "version of torch.*--despite versions"),
    ],
)
def test_unlike_environments_are_refused_with_the_reason(run, change, said):
    pair = [run("a", 5.0), run("b", 5.0, environment=ENVIRONMENT | change)]
    with pytest.raises(UsageError, match=said):
        main(pair)


def test_a_difference_can_be_permitted(run):
    pair = [run("a", 5.0), run("b", 5.0, environment=ENVIRONMENT | {"cpu": "B"})]
    assert main([*pair, "--despite", "machine"]) == 0


def test_another_commit_is_what_is_compared(run):
    pair = [run("a", 5.0), run("b", 5.0, environment=ENVIRONMENT | {"commit": "other"})]
    assert main(pair) == 0


def test_runs_with_nothing_in_common_are_refused(run):
    with pytest.raises(UsageError, match="in common"):
        main([run("a", 5.0), run("b", 5.0, error="killed")])


def test_a_verification_is_no_benchmark(run, tmp_path):
    with RunWriter("verify", command=[], environment={}, out=tmp_path / "v"):
        pass
    with pytest.raises(UsageError, match="no benchmark"):
        main([run("a", 5.0), str(tmp_path / "v")])


def test_one_process_of_each_arm_is_marked_and_resolves_no_two_percent(run, capsys):
    assert main([run("a", 5.0, processes=1), run("b", 5.08, processes=1)]) == 0
    text = capsys.readouterr().out
    assert "SLOWER" not in text
    assert text.count("differences under 2% are not resolved") == 2
    assert main([run("c", 5.0, processes=1), run("d", 6.0, processes=1)]) == 1


def test_what_differs_less_than_matters_is_the_same(run, capsys):
    assert main([run("a", 5.0), run("b", 5.02)]) == 0
    assert "SAME" in capsys.readouterr().out


def test_the_margin_is_the_users(run, capsys):
    pair = [run("a", 5.0), run("b", 5.2)]
    assert main(pair) == 1
    assert main([*pair, "--margin", "10%"]) == 0


def test_the_answer_is_the_first_line(run, capsys):
    main([run("a", 5.0), run("b", 6.0)])
    assert capsys.readouterr().out.startswith("In B, max is slower for pp8 b2 (1.200 [1.1")


def test_the_json_has_the_answer_and_both_ratios(run, tmp_path):
    out = tmp_path / "out.json"
    assert main([run("a", 5.0), run("b", 6.0), "--json", str(out)]) == 1
    assert file_misfits("compare", out) == []
    found = json.loads(out.read_text())
    (change,) = found["changes"]
    assert (found["verdict"], found["runs"], change["arm"]) == ("SLOWER", ["a", "b"], "max")
    assert change["change"] == pytest.approx(change["b"]["ratio"] / change["a"]["ratio"])
    assert change["ci_lo"] < change["change"] < change["ci_hi"]


def test_the_page_has_the_interval_and_reports_makes_it_again(run, tmp_path):
    a, b = run("a", 5.0), run("b", 6.0)
    main([a, b])
    page = tmp_path / "b" / "compare-a.html"
    before = page.read_text(encoding="utf-8")
    change = json.loads((tmp_path / "b" / "compare-a.json").read_text())["changes"][0]
    assert f"[{change['ci_lo']:.3f}, {change['ci_hi']:.3f}] slower" in before
    page.unlink()
    assert reports_main(["compare", a, b]) == 0
    assert page.read_text(encoding="utf-8") == before


def test_the_page_is_put_where_it_is_asked_for(run, tmp_path):
    page = tmp_path / "page.html"
    main([run("a", 5.0), run("b", 5.0), "--page", str(page)])
    assert "In B, max is" in page.read_text(encoding="utf-8")
    assert not list((tmp_path / "b").glob("compare-*"))


def test_what_was_unlike_all_the_same_is_said_on_the_page(run, tmp_path, capsys):
    pair = [run("a", 5.0), run("b", 5.0, environment=ENVIRONMENT | {"cpu": "B"})]
    main([*pair, "--despite", "machine"])
    assert "not measured alike: cpu: A -> B" in capsys.readouterr().out
    assert "cpu: A -&gt; B" in (tmp_path / "b" / "compare-a.html").read_text(encoding="utf-8")


def test_a_page_that_is_in_the_way_costs_no_answer(run, tmp_path, capsys):
    pair = [run("a", 5.0), run("b", 6.0)]
    (tmp_path / "b" / "compare-a.html").mkdir()
    assert main(pair) == 1
    assert "bench: no page: " in capsys.readouterr().err


def test_times_over_another_baseline_are_not_compared(run, tmp_path):
    pair = [run("a", 5.0), run("b", 5.0)]
    file = tmp_path / "b" / "records.jsonl"
    file.write_text(file.read_text().replace('"versus": "torch"', '"versus": "torch#2"'))
    with pytest.raises(UsageError, match="in common"):
        main(pair)
