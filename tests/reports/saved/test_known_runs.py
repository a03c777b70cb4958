"""Runs in folders of a user's own are found again."""

import shutil

from reports.saved.known_runs import FILE, known, remember
from reports.saved.records import RECORDS, RunWriter


def folder(place):
    place.mkdir()
    (place / RECORDS).touch()
    return place


def test_folders_are_kept_once_each_in_the_order_of_writing(tmp_path):
    one, other = folder(tmp_path / "one"), folder(tmp_path / "other")
    for place in (one, other, one):
        remember(tmp_path / "root", place, RECORDS)
    assert known(tmp_path / "root") == [one, other]


def test_what_is_gone_is_left_out_when_the_next_is_added(tmp_path):
    one, other = folder(tmp_path / "one"), folder(tmp_path / "other")
    remember(tmp_path, one, RECORDS)
    shutil.rmtree(one)
    remember(tmp_path, other, RECORDS)
    assert known(tmp_path) == [other]


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path):
    one = folder(tmp_path / "one")
    remember(tmp_path, one, RECORDS)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"folder": "/no')
    assert known(tmp_path) == [one]


def test_without_the_file_nothing_is_known(tmp_path):
    assert known(tmp_path) == []


def test_a_run_with_a_folder_of_its_own_is_remembered_from_its_beginning(tmp_path):
    out, root = tmp_path / "out", tmp_path / "root"
    with RunWriter("verify", command=[], environment={}, out=out, root=root):
        pass  # interrupted
    assert known(root) == [out]
    with RunWriter("verify", command=[], environment={}, root=root) as writer:
        writer.finish({})
    assert known(root) == [out]
