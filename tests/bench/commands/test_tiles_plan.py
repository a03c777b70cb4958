"""The plan for a CPU with AMX where there is none: it says so, and every step can be run."""

from pathlib import Path

import pytest

from bench.cli import main
from bench.commands.tiles_plan import steps
from impl.choosing.kernel_choice import CHOICES, SWITCH
from impl.choosing.tiles import refusal

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(not refusal(), reason="this CPU has AMX")
def test_without_tiles_it_is_one_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path / "runs"))
    assert main(["tiles"]) == 2
    said = capsys.readouterr().err
    assert "--emulated rehearses it" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("where", [[], ["--emulated"]])
def test_a_dry_run_prints_every_command_and_runs_none(where, capsys, tmp_path):
    assert main(["tiles", "--dry-run", *where, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    plan = steps(emulated=bool(where))
    assert len({one.name for one in plan}) == len(plan)
    assert all(one.line in printed and one.name in printed for one in plan)
    assert not (tmp_path / "out").exists()


def test_what_the_plan_says_can_be_parsed_by_the_commands_that_it_names():
    from bench.plan.options import make_parser
    from verify.cli import _parser

    for one in [*steps(emulated=False), *steps(emulated=True)]:
        _, program, *words = one.words
        if program == "verify":
            _parser().parse_args(words)
        elif program == "bench" and words[0] in ("run", "ceilings"):
            make_parser(words[0]).parse_args(words[1:])
        assert all((ROOT / word).exists() for word in words if word.startswith("tests"))
        assert one.variables.get(SWITCH, "auto") in CHOICES


def test_what_is_timed_is_verified_by_the_same_kernels():
    for emulated in (False, True):
        plan = steps(emulated=emulated)
        timed = {one.variables[SWITCH] for one in plan if one.name.startswith("bench-")}
        verified = {one.variables[SWITCH] for one in plan if one.name.startswith("verify")}
        assert timed == verified
