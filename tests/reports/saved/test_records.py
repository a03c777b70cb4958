"""What was finished is readable, whatever happened afterwards."""

import json
import subprocess
import sys

import numpy as np
import pytest

from reports.saved.records import (
    RECORDS,
    SCHEMA_VERSION,
    RecordsError,
    RunWriter,
    read_header,
    read_run,
)


def writer(tmp_path, **options):
    return RunWriter(
        "bench", command=["x"], environment={"model": "tiny"}, root=tmp_path, **options
    )


def test_a_run_reads_back_as_it_was_written(tmp_path):
    with writer(tmp_path) as run:
        run.write({"record": "row", "n": 1})
        run.finish({"verdict": "PASS"})
    back = read_run(run.folder)
    assert back.kind == "bench"
    assert back.header["environment"] == {"model": "tiny"}
    assert back.header["schema_version"] == SCHEMA_VERSION
    assert back.header == read_header(run.folder)
    assert back.records == ({"record": "row", "n": 1},)
    assert back.end is not None
    assert back.end["verdict"] == "PASS"
    assert back.damaged == 0


def test_records_are_on_disk_before_the_run_ends(tmp_path):
    with writer(tmp_path) as run:
        run.write({"record": "row"})
        assert len(read_run(run.folder).records) == 1


def test_an_interrupted_run_keeps_its_records_and_has_no_end(tmp_path):
    def interrupted():
        with writer(tmp_path) as run:
            run.write({"record": "row"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    back = read_run(tmp_path / "latest" / "bench")
    assert len(back.records) == 1
    assert back.end is None


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (np.float32("inf"), "inf"),
        (None, None),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.array([1.0, np.nan]), [1.0, "nan"]),
        ((1, 2), [1, 2]),
        ({"deep": [float("nan")]}, {"deep": ["nan"]}),
    ],
)
def test_every_line_is_strict_json(tmp_path, value, written):
    with writer(tmp_path) as run:
        run.write({"record": "row", "value": value})
    line = (run.folder / RECORDS).read_text().splitlines()[1]
    assert json.loads(line, parse_constant=pytest.fail)["value"] == written


def test_two_runs_in_one_second_have_folders_of_their_own(tmp_path):
    with writer(tmp_path) as first, writer(tmp_path) as second:
        assert first.run_id != second.run_id


def test_latest_is_the_newest_run_by_a_relative_link(tmp_path):
    with writer(tmp_path):
        pass
    with writer(tmp_path) as newest:
        pass
    link = tmp_path / "latest" / "bench"
    assert link.resolve() == newest.folder.resolve()
    assert not link.readlink().is_absolute()
    assert [path.name for path in link.parent.iterdir()] == ["bench"]


def test_a_folder_of_ones_own_is_used_exactly(tmp_path):
    with writer(tmp_path, out=tmp_path / "a" / "b") as run:
        pass
    assert run.folder == tmp_path / "a" / "b"
    assert not (tmp_path / "latest" / "bench").exists()  # it points to runs of the project only


def test_a_folder_with_records_is_refused_and_left_alone(tmp_path):
    with writer(tmp_path, out=tmp_path / "a") as run:
        run.write({"record": "row"})
    before = (run.folder / RECORDS).read_bytes()
    with pytest.raises(RecordsError, match="already holds"), writer(tmp_path, out=run.folder):
        pass
    assert (run.folder / RECORDS).read_bytes() == before


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RecordsError, match="file"), writer(tmp_path, out=out):
            pass


def test_writing_outside_the_context_is_refused(tmp_path):
    with pytest.raises(RecordsError, match="with"):
        writer(tmp_path).write({"record": "row"})


def test_what_has_no_json_form_is_refused(tmp_path):
    with writer(tmp_path) as run, pytest.raises(TypeError, match="object"):
        run.write({"record": "row", "value": object()})


HEADER = json.dumps({"record": "run", "schema_version": 1, "kind": "bench", "run_id": "r"})


def folder_with(tmp_path, text):
    (tmp_path / RECORDS).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path


@pytest.mark.parametrize("rest", ['{"record": "row", "x": 1', '{"rec', '"row"', b"\xff\xfe"])
def test_a_cut_off_last_line_is_left_out_and_counted(tmp_path, rest):
    rest = rest if isinstance(rest, bytes) else rest.encode()
    text = f'{HEADER}\n{{"record": "row"}}\n'.encode() + rest
    run = read_run(folder_with(tmp_path, text))
    assert run.damaged == 1
    assert len(run.records) == 1
    assert run.end is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("{", "line 1 .* is damaged"),
        (f'{HEADER}\n{{"rec\n{{"record": "end"}}\n', "line 2 .* is damaged"),
        (f'{HEADER}\n[]\n{{"record": "end"}}\n', "line 2 .* is not a record"),
        ('{"record": "row"}\n', "does not begin"),
        (HEADER.replace("1,", f"{SCHEMA_VERSION + 1},", 1), "format"),
        (HEADER.replace("1,", "null,", 1), "does not begin"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, text, message):
    with pytest.raises(RecordsError, match=message):
        read_run(folder_with(tmp_path, text))


def test_a_folder_without_records_is_said(tmp_path):
    with pytest.raises(RecordsError, match=r"holds no records\.jsonl"):
        read_run(tmp_path)
    with pytest.raises(RecordsError, match="cannot be read"):
        read_header(tmp_path)


FULL = """
import resource, signal, sys
from pathlib import Path
from reports.saved.records import RecordsError, RunWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with RunWriter("bench", command=[], environment={}, out=Path(sys.argv[1])) as writer:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    try:
        for block in range(1000):
            writer.write({"record": "sample", "block": block})
    except RecordsError as error:
        print(error)
"""


def test_when_no_more_can_be_written_it_is_said_and_nothing_is_lost(tmp_path):
    """A limit on the file's size fails a write as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "run")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stdout
    kept = read_run(tmp_path / "run")
    assert [sample["block"] for sample in kept.of("sample")] == list(range(len(kept.of("sample"))))
    assert len(kept.of("sample")) > 20


def test_a_second_run_in_one_folder_is_refused_while_the_first_goes_on(tmp_path):
    options = {"command": [], "environment": {}, "out": tmp_path / "run"}
    with RunWriter("bench", **options) as first:
        with pytest.raises(RecordsError, match="already holds"), RunWriter("bench", **options):
            pass
        first.write({"record": "sample"})
    assert len(read_run(tmp_path / "run").of("sample")) == 1


def test_what_is_told_after_the_end_leaves_the_run_whole(tmp_path):
    with writer(tmp_path) as run:
        run.write({"record": "row", "n": 1})
        run.finish({"verdict": "PASS"})
    problem = {"record": "problem", "part": "page and tables", "error": "ValueError: x"}
    run.append(problem)
    back = read_run(run.folder)
    assert back.end["verdict"] == "PASS"
    assert back.of("problem") == [problem]
    assert back.of("row") == [{"record": "row", "n": 1}]


def test_a_problem_alone_is_not_the_end_of_a_run(tmp_path):
    with writer(tmp_path) as run:
        run.write({"record": "problem", "part": "page", "error": "ValueError: x"})
    back = read_run(run.folder)
    assert back.end is None
    assert len(back.of("problem")) == 1
