"""The plan for a GPU where there is none: it says so, prints itself, goes on after failures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import main
from bench.commands import gpu_plan
from bench.commands.gpu_plan import Done, carry_out, chosen, exit_code, summed_up
from bench.commands.gpu_steps import ON, STOCK, Step, steps
from reports.saved.machine import nvidia_gpus
from tests.reports.conftest import benchmark, write_run

ROOT = Path(__file__).parents[3]
no_gpu = pytest.mark.skipif(bool(nvidia_gpus()), reason="this machine has an NVIDIA GPU")


def step(name, code, *, minutes=0.01):
    """A step that prints something, and ends with an exit code."""
    words = ("-c", f"import sys; print('{name} ran'); sys.exit({code})")
    return Step(name=name, what="a test", words=words, minutes=minutes, answers=False)


# ---- what it says


@no_gpu
def test_without_a_gpu_it_is_one_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path / "runs"))
    assert main(["gpu"]) == 2
    said = capsys.readouterr().err
    assert "nvidia-smi lists no GPU on this machine" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_before_it_installs_anything_it_needs_the_standard_library_alone(tmp_path):
    """As `tox -e gpu` starts it: in an environment that has nothing yet."""
    program = (
        f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); "
        "sys.argv[1:] = ['--install', '--dry-run']; "
        "runpy.run_module('bench.commands.gpu_plan', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=dict(os.environ),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "verify-tiny-tf32" in done.stdout


@pytest.mark.parametrize("where", [[], ["--on-cpu"]])
def test_a_dry_run_prints_every_command_and_runs_none(where, capsys, tmp_path):
    assert main(["gpu", "--dry-run", *where, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    plan = steps(on_cpu=bool(where))
    assert all(one.line in printed and one.name in printed for one in plan)
    assert f"{len(plan)} steps, about" in printed
    assert not (tmp_path / "out").exists()


def test_a_step_that_is_not_there_is_named_with_those_that_are(capsys):
    assert main(["gpu", "--only", "none", "--dry-run"]) == 2
    assert "there is no step 'none'; choose from surroundings, kernels" in capsys.readouterr().err


def test_a_folder_that_holds_an_earlier_run_is_left_as_it_is(capsys, tmp_path):
    (tmp_path / "logs").mkdir()
    assert main(["gpu", "--on-cpu", "--only", "surroundings", "-o", str(tmp_path)]) == 2
    assert "holds an earlier run" in capsys.readouterr().err


# ---- the plan


@pytest.mark.parametrize("on_cpu", [False, True])
def test_the_plan_asks_for_each_precision_and_has_its_names_once(on_cpu):
    plan = steps(on_cpu=on_cpu)
    names = [one.name for one in plan]
    assert len(set(names)) == len(names)
    for precision in ("float32", "tf32", "bfloat16"):
        assert f"verify-tiny-{precision}" in names
        assert f"bench-tiny-{precision}" in names


def test_what_the_plan_says_can_be_parsed_by_the_commands_that_it_names():
    """Every option is one that exists: parsers refuse others."""
    from bench.plan.options import make_parser
    from verify.cli import _parser

    for one in [*steps(on_cpu=False), *steps(on_cpu=True)]:
        _, program, *words = one.words
        if program == "verify":
            _parser().parse_args(words)
        elif program == "bench" and words[0] in ("run", "ceilings"):
            make_parser(words[0]).parse_args(words[1:])


def test_the_tests_that_it_runs_are_there():
    for one in [*steps(on_cpu=False), *steps(on_cpu=True)]:
        for word in one.words:
            assert not word.startswith("tests") or (ROOT / word).exists()


def test_a_rehearsal_takes_the_graph_that_a_gpu_takes():
    timed = [one for one in steps(on_cpu=True) if one.name.startswith(("verify-", "bench-"))]
    assert all(STOCK.items() <= one.variables.items() for one in timed)
    assert all("gpu" not in one.words for one in timed)


def test_max_is_verified_with_tf32_where_it_is_timed_with_it():
    for one in steps(on_cpu=False):
        if one.words[1] == "verify":
            assert ("--tf32" in one.words) == (ON.items() <= one.variables.items())


# ---- carrying it out


def test_a_step_that_fails_does_not_keep_the_others_from_running(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    plan = [step("first", 1), step("second", 2), step("third", 0)]
    assert carry_out(plan, tmp_path) == 1
    out = capsys.readouterr().out
    assert [line.split()[0] for line in (tmp_path / "summary.md").read_text().splitlines()] == [
        "|", "|---|---|---|---|---|", "|", "|", "|",
    ]  # fmt: skip
    assert "FOUND: first ran" in out
    assert "COULD NOT RUN: second ran" in out
    assert "passed: third ran" in out
    assert "third ran" in (tmp_path / "logs" / "third.log").read_text()


@pytest.mark.parametrize(
    ("codes", "whole"),
    [((0, 0), 0), ((0, 1), 1), ((0, 3), 1), ((2, 0), 2), ((2, 1), 1), ((-9,), 2)],
)
def test_the_exit_code_sums_up_what_became_of_the_steps(codes, whole):
    assert exit_code([Done(step("one", 0), code, 1.0, "") for code in codes]) == whole


def test_a_step_that_hangs_is_ended(tmp_path, monkeypatch):
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(gpu_plan, "LEAST_LIMIT_MIN", 0.5 / 60)
    words = ("-c", "import time; time.sleep(600)")
    hanging = Step(name="hangs", what="", words=words, minutes=0.0, answers=False)
    assert carry_out([hanging, step("next", 0)], tmp_path) == 2
    summary = (tmp_path / "summary.md").read_text()
    assert "it was ended after" in summary
    assert "next ran" in summary


def test_whole_runs_are_published_and_others_left(tmp_path):
    for part in ("logs", "answers"):
        (tmp_path / part).mkdir()
    write_run(tmp_path, "bench", *benchmark())
    write_run(tmp_path, "bench")
    assert carry_out([step("one", 0)], tmp_path) == 0
    assert (tmp_path / "published" / "bench-tiny" / "effects.csv").is_file()
    assert (tmp_path / "index.html").is_file()


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"verdict": "PASS", "first_divergence": None}, "PASS"),
        ({"verdict": "FAIL", "first_divergence": {"message": "h.1: off"}}, "FAIL: h.1: off"),
        ({"verdict": "ERROR", "reason": "no weights"}, "no weights"),
        ({"rows": [{"status": "VALID"}, {"status": "SKIP", "arm": "onnxruntime",
                                         "invalid_reasons": ["no CUDA"]}]},
         "1 VALID, 1 SKIP; onnxruntime: no CUDA"),
    ],
)  # fmt: skip
def test_an_answer_is_summed_up_in_a_line(told, line):
    assert summed_up(json.loads(json.dumps(told))) == line


def test_chosen_steps_keep_the_order_of_the_plan():
    plan = [step(name, 0) for name in ("a", "b", "c")]
    assert [one.name for one in chosen(plan, ["c", "a"])] == ["a", "c"]
