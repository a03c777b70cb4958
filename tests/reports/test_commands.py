"""What `python -m reports` does beside rendering: tables, the index, comparisons, publishing."""

import argparse
import csv
import io
import json

import pytest

from reports.__main__ import main
from reports.commands import duration
from reports.history.kept import read_entries
from reports.history.trends import groups
from reports.output.publish import name_of
from reports.output.render import render
from reports.saved.files import write_json
from reports.saved.records import read_run


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path))
    return tmp_path


def row(median, *, width=0.02, **rest):
    return {
        "record": "row", "workload": "pp32", "arm": "max", "device": "cpu", "dtype": "float32",
        "status": "VALID", "median_s": median, "ci_lo_s": median * (1 - width),
        "ci_hi_s": median * (1 + width), "invalid_reasons": [],
    } | rest  # fmt: skip


# ---- table


def test_a_table_by_layer_has_a_row_for_each_place(failing, capsys):
    assert main(["table", "--by", "layer", str(failing)]) == 0
    lines = capsys.readouterr().out.splitlines()
    broken = next(line for line in lines if "h.1.mlp.act" in line)
    assert broken.split()[-1] == "FAIL"


@pytest.mark.parametrize(("by", "count"), [("sample", 120), ("row", 7), ("ceiling", 2)])
def test_a_table_as_csv_can_be_read_by_other_programs(benched, capsys, by, count):
    assert main(["table", "--by", by, "--format", "csv", str(benched)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == count
    assert {one["run"] for one in rows} == {benched.name}


def test_a_table_as_markdown_has_bars_escaped(make_run, capsys):
    folder = make_run("verify", [{"record": "check", "case": "a", "message": "x | y"}])
    assert main(["table", "--by", "check", "--format", "markdown", str(folder)]) == 0
    assert r"x \| y" in capsys.readouterr().out


def test_a_table_that_no_run_has_is_one_sentence(benched, capsys):
    assert main(["table", "--by", "fault", str(benched)]) == 2
    assert "nothing to list by fault" in capsys.readouterr().err


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("command", ["table", "compare", "publish"])
def test_a_command_without_its_runs_is_one_sentence(command, capsys):
    try:
        code = main([command])
    except SystemExit as leave:
        code = leave.code
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1


# ---- index


def test_unlike_environments_are_never_on_one_line(make_run, tmp_path):
    for threads in (1, 2, 1):
        make_run("bench", [row(0.01)], {}, threads=threads)
    found = groups(read_entries(tmp_path / "runs"))
    assert sorted(len(group.entries) for group in found) == [1, 2]
    for group in found:
        assert len({entry.environment for entry in group.entries}) == 1


def test_verifications_of_other_cases_stand_apart(make_run, tmp_path):
    for cases in (("a",), ("a", "b"), ("a", "b")):
        checks = [
            {"record": "check", "mode": "isolated", "case": case, "tap": "t", "used": 0.4,
             "verdict": "PASS"} for case in cases
        ]  # fmt: skip
        make_run("verify", checks, {"verdict": "PASS"})
    found = groups(read_entries(tmp_path / "runs"))
    assert sorted(len(group.entries) for group in found) == [1, 2]


@pytest.mark.parametrize(
    ("medians", "width", "steps"),
    [((0.010, 0.012), 0.02, 1), ((0.010, 0.012), 0.3, 0), ((0.010, 0.010, 0.005), 0.02, 1)],
)
def test_a_step_is_where_intervals_part(make_run, tmp_path, medians, width, steps):
    for number, median in enumerate(medians):
        make_run("bench", [row(median, width=width)], {}, commit=f"{number}abcdef")
    (group,) = groups(read_entries(tmp_path / "runs"))
    assert len(group.steps) == steps
    assert all("commit" in step for step in group.steps)


def test_another_max_is_named_at_its_step(make_run, tmp_path):
    for version, median in (("26.6.0", 0.01), ("26.7.0", 0.02)):
        make_run("bench", [row(median)], {}, versions={"max": version})
    (group,) = groups(read_entries(tmp_path / "runs"))
    assert "MAX 26.6.0 to 26.7.0" in group.steps[0]
    assert any(mark.text == "MAX 26.7.0" for figure in group.figures for mark in figure.marks)


def test_a_run_that_cannot_be_read_is_listed_with_the_reason(root, make_run, capsys):
    folder = make_run("bench", [row(0.01)], {})
    broken = root / "runs" / "broken"
    broken.mkdir()
    (broken / "records.jsonl").write_text("{")
    assert main(["index"]) == 0
    page = (root / "index.html").read_text(encoding="utf-8")
    assert folder.name in page
    assert "line 1 of" in page
    assert capsys.readouterr().out.strip() == str(root / "index.html")


def test_the_index_of_no_runs_says_so(root):
    assert main(["index"]) == 0
    assert "There are no runs yet" in (root / "index.html").read_text(encoding="utf-8")


def test_the_index_leads_to_pages(root, passing):
    render(passing)
    assert main(["index"]) == 0
    assert f'href="runs/{passing.name}/report.html"' in (root / "index.html").read_text()


# ---- compare


def test_the_page_of_two_runs_lies_in_the_seconds_folder(passing, failing, capsys):
    assert main(["compare", str(passing), str(failing)]) == 0
    page = failing / f"compare-{passing.name}.html"
    assert "B breaks h.1.mlp.act, which passes in A." in page.read_text(encoding="utf-8")
    assert capsys.readouterr() == (f"{page}\n", "")


def test_runs_of_two_kinds_are_refused(passing, benched, capsys):
    assert main(["compare", str(passing), str(benched)]) == 2
    assert "only runs of one kind" in capsys.readouterr().err


def test_a_comparison_warns_of_another_machine(make_run, tmp_path):
    one, other = (make_run("bench", [row(0.01)], {}, cpu=cpu) for cpu in ("A CPU", "B CPU"))
    out = tmp_path / "page.html"
    assert main(["compare", str(one), str(other), "--out", str(out)]) == 0
    assert "Not measured alike" in out.read_text(encoding="utf-8")


# ---- publish


def test_a_suffix_keeps_what_was_published_of_another_machine(root, benched, capsys):
    assert main(["publish", str(benched)]) == 0
    assert main(["publish", str(benched), "--suffix", "zen4"]) == 0
    folders = sorted(path.name for path in (root / "published").iterdir() if path.is_dir())
    assert folders == [folders[0], f"{folders[0]}-zen4"]
    assert f"{folders[1]}/README.md" in (root / "published" / "README.md").read_text()
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["publish", str(benched), "--suffix", "../away"])
    assert ended.value.code == 2
    assert "'../away' is not letters" in capsys.readouterr().err


def test_published_runs_have_tables_figures_and_an_index(root, passing, benched):
    assert main(["publish", str(passing), str(benched)]) == 0
    names = {str(path.relative_to(root / "published")) for path in
             (root / "published").rglob("*") if path.is_file()}  # fmt: skip
    assert {
        "README.md", "verify-tiny/README.md", "verify-tiny/layers.csv", "verify-tiny/errors.svg",
        "bench-tiny/README.md", "bench-tiny/effects.csv", "bench-tiny/ratios.svg",
        "bench-tiny/roofline.svg",
    } <= names  # fmt: skip
    index = (root / "published" / "README.md").read_text(encoding="utf-8")
    assert "[verify-tiny](verify-tiny/README.md): ✅ Verification: The same model" in index
    for page in (root / "published").glob("*/README.md"):
        text = page.read_text(encoding="utf-8")
        pictures = [part.partition(")")[0] for part in text.split("](")[1:]]
        assert pictures
        assert all((page.parent / name).is_file() for name in pictures)
    size = sum(path.stat().st_size for path in (root / "published").rglob("*") if path.is_file())
    assert size < 1e6


def test_publishing_again_replaces_what_was_there(root, make_run, passing):
    assert main(["publish", str(passing)]) == 0
    stale = root / "published" / "verify-tiny" / "stale.csv"
    stale.write_text("")
    assert main(["publish", str(passing)]) == 0
    assert not stale.exists()


@pytest.mark.usefixtures("root")
def test_an_interrupted_run_is_not_published(make_run, capsys):
    folder = make_run("bench", [row(0.01)])
    assert main(["publish", str(folder)]) == 2
    assert "only a whole run" in capsys.readouterr().err


# ---- what every command line shares


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("30", 30)]
)
def test_durations_are_read(text, expected):
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "m", "10 minutes", "-1m", "0s", "٣s"])
def test_what_is_not_a_duration_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a duration"):
        duration(text)


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    help_text = capsys.readouterr().out
    for word in ("render", "table", "index", "compare", "publish"):
        assert f"  {word} " in help_text


def test_json_of_what_is_not_finite_is_a_string(tmp_path):
    write_json(tmp_path / "out.json", {"used": float("nan"), "margin": float("inf")})
    assert json.loads((tmp_path / "out.json").read_text()) == {"used": "nan", "margin": "inf"}


@pytest.mark.parametrize(
    ("kind", "end", "environment", "name"),
    [
        ("verify", {"devices": ["cpu"], "dtypes": ["float32"]}, {}, "verify-tiny"),
        ("verify", {"devices": ["gpu"], "dtypes": ["bfloat16"]}, {}, "verify-tiny-gpu-bfloat16"),
        ("verify", {"devices": ["gpu:1"], "dtypes": ["float32"]}, {"tf32": True},
         "verify-tiny-gpu-tf32"),
        ("bench", {}, {}, "bench-tiny"),
    ],
)  # fmt: skip
def test_another_device_or_precision_is_published_apart(make_run, kind, end, environment, name):
    skip = {"record": "row", "arm": "max", "device": "gpu", "status": "SKIP"}
    records = [row(0.01), skip] if kind == "bench" else []
    assert name_of(read_run(make_run(kind, records, end, **environment))) == name
