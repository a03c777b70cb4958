"""`python -m reports` renders saved runs, and tells what it cannot read."""

import shutil

import pytest

from reports.__main__ import main
from reports.saved.records import RunWriter


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path))
    return tmp_path


def make_run(root, kind):
    with RunWriter(kind, command=[], environment={}, root=root) as writer:
        writer.finish({})
    return writer.folder


def test_the_newest_run_of_each_kind_is_rendered_by_default(root, capsys):
    make_run(root, "bench")
    folders = [make_run(root, "bench"), make_run(root, "verify")]
    assert main([]) == 0
    printed = capsys.readouterr().out.split()
    names = [
        ["report.html", f"{name}.md", f"{name}.csv", f"{name}.parquet", "junit.xml"]
        for name in ("bench", "checks")
    ]
    assert printed == [
        *(
            str((folder / name).resolve())
            for folder, files in zip(folders, names, strict=True)
            for name in files
        ),
        str(root / "index.html"),
    ]


def test_a_run_whose_folder_was_deleted_is_left_out(root, capsys):
    deleted, kept = make_run(root, "bench"), make_run(root, "verify")
    shutil.rmtree(deleted)
    assert main([]) == 0
    assert str(kept.resolve()) in capsys.readouterr().out


def test_a_named_run_is_rendered(root):
    folder = make_run(root, "bench")
    assert main([str(folder)]) == 0
    assert (folder / "bench.md").is_file()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("arguments", [[], ["no/such/folder"]])
def test_what_is_not_there_is_one_sentence(capsys, arguments):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("reports: ")
    assert captured.err.count("\n") == 1


def test_an_unknown_option_is_one_sentence(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--nonsense"])
    assert capsys.readouterr().err.count("\n") == 1
