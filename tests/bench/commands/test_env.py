"""`bench env` tells what it can read, and what to do about what matters."""

import pytest

from bench.commands import env as doctor
from bench.commands.env import MATTERS, OK, UNKNOWN, findings, main, setting
from bench.results.gpus import parse


def test_every_finding_has_a_state_and_advice_where_it_matters(monkeypatch):
    monkeypatch.setattr(doctor, "WATCH_S", 0.05)
    found = list(findings())
    assert len(found) > 8
    assert all(finding.advice for finding in found if finding.state == MATTERS)
    assert len({finding.what for finding in found}) == len(found)


@pytest.mark.parametrize(
    ("text", "state"), [("performance\n", OK), ("powersave\n", MATTERS), (None, UNKNOWN)]
)
def test_a_setting_is_as_it_should_be_or_not_or_hidden(tmp_path, text, state):
    file = tmp_path / "governor"
    if text is not None:
        file.write_text(text)
    assert setting("governor", file, "performance", "change {path}").state == state


def test_a_choice_in_brackets_is_the_one_that_is_set(tmp_path):
    file = tmp_path / "enabled"
    file.write_text("always [madvise] never\n")
    finding = setting("huge pages", file, "always", "echo always > {path}")
    assert (finding.seen, finding.state) == ("madvise", MATTERS)
    assert str(file) in finding.advice


def test_the_table_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "WATCH_S", 0.01)
    assert main([]) == 0
    assert "CPU pressure" in capsys.readouterr().out


def test_what_nvidia_smi_prints_is_read_by_field():
    text = "0, NVIDIA H100, 1980\n1, NVIDIA H100, 1755\n"
    assert parse(text, ("index", "name", "clocks.sm"))[1] == {
        "index": "1", "name": "NVIDIA H100", "clocks_sm": "1755",
    }  # fmt: skip
    assert parse("no devices\n", ("index", "name")) == []
