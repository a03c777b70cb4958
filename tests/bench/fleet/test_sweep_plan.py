"""A sweep is cut into units that are ordinary runs, and mistakes are found before any."""

import pytest

from bench.cli import main
from bench.commands import sweep
from bench.fleet.sweep_plan import arms_by_dtype, slug
from bench.plan.options import make_parser
from reports.commands import UsageError

QUICK = "--models", "random:tiny", "-p", "4", "-n", "0"


@pytest.fixture
def units(monkeypatch):
    """The units of a command line on machines of these CPUs; nothing is measured."""

    def of(argv, cpus=("one",)):
        found = []
        places = [type("Place", (), {"name": cpu, "cpu": cpu}) for cpu in cpus]
        monkeypatch.setattr(
            sweep, "carry_out", lambda work, options: found.extend(work.units(places)) or 0
        )
        assert sweep.main([*QUICK, *argv]) == 0
        return found

    return of


def test_there_is_a_unit_for_each_model_dtype_number_of_threads_and_kind_of_machine(units):
    argv = ["--dtypes", "float32,bfloat16", "-t", "1,2", "--models", "random:tiny,tiny",
            "--on", "ray"]  # fmt: skip
    found = units(argv, ["Zen", "Zen", "Golden Cove"])
    assert len(found) == len({unit.key for unit in found}) == 2 * 2 * 2 * 2
    assert {unit.place for unit in found} == {"Zen", "Golden Cove"}
    assert len({slug(unit.key) for unit in found}) == len(found)


def test_a_unit_is_a_command_line_that_the_benchmark_takes(units):
    (unit,) = units(["--threads", "1", "--budget-each", "90s", "--margin", "2%", "--seed", "7"])
    words = unit.arguments["words"]
    assert words[0] == "run"
    options = make_parser().parse_args(words[1:])
    assert (options.model, options.p, options.n, options.threads) == (
        ["random:tiny"],
        [4],
        [0],
        [1],
    )
    assert (options.budget, options.margin, options.seed) == (90.0, 0.02, 7)


def test_the_baseline_of_each_dtype_comes_first_since_ratios_are_taken_to_it():
    arms = ["max", "torch", "onnxruntime"]
    assert arms_by_dtype(arms, ["float32", "bfloat16"]) == {
        "float32": ["torch", "max", "onnxruntime"], "bfloat16": ["torch-bf16", "max-bf16"],
    }  # fmt: skip


def test_a_dtype_that_no_arm_has_and_an_arm_that_has_none_are_refused():
    with pytest.raises(UsageError, match="onnxruntime has no bfloat16"):
        arms_by_dtype(["max", "onnxruntime"], ["bfloat16"])
    with pytest.raises(UsageError, match="none of torch has int8"):
        arms_by_dtype(["torch"], ["float32", "int8"])


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["sweep", "--models", "random:huge"], "presets are"),
        (["sweep", "-p", "0", "-n", "0"], "nothing to time"),
        (["sweep", "-p", "999"], "256 positions"),
        (["sweep", "--threads", "9999"], "usable CPUs"),
        (["sweep", "--on", "spark"], "--on is ray"),
        (["sweep", "--most-load", "200%"], "not a percentage"),
        (["sweep", "--budget-each", "soon"], "not a duration"),
        (["sweep", "--json", "no/such/folder/out.json"], "there is no folder"),
        (["machines", "--on", "ray:/here"], "--on is ray"),
        (["machines", "--model", "random:huge"], "presets are"),
        (["machines", "--from", "no/such/run"], "no/such/run"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(words, part, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path / "root"))
    try:
        code = main(words)
    except SystemExit as leaving:
        code = leaving.code
    said = capsys.readouterr()
    assert code == 2
    assert part in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "root").exists()
