"""Files of forks of Modular's book: they import each other, under that book's names."""

import json
import sys

import pytest

from tests.verify.steps import forks
from verify.steps.course import STEPS
from verify.steps.phases import PHASES, check_step
from verify.steps.progress import find
from verify.steps.progress import main as all_steps

WHOLE = forks.BLOCK.format(attention="step_07", mlp="step_04")

SAID = {
    6: "GPT2PositionEmbeddings is taken for PositionEmbedding: the file defines no other",
    7: "GPT2MultiHeadAttention is taken for GPT2Attention: the file defines no other",
    9: "TransformerLayer is taken for GPT2Block: it fits, and Norms not",
}


@pytest.mark.parametrize("package", ["", "solutions"])
@pytest.mark.parametrize("number", [2, 4, 6, 7, 9])
def test_files_import_each_other_and_the_class_is_found_by_what_it_is(number, package, tmp_path):
    folder = forks.write(tmp_path / (package or "mine"), package=package)
    (file,) = folder.glob(f"*_{number:02}.py")
    before = list(sys.path)
    phases = list(check_step(STEPS[number - 1], file, quick=True))
    assert [(phase.title, phase.problem) for phase in phases if not phase.passed] == []
    assert [phase.title for phase in phases] == list(PHASES)
    assert phases[1].said == SAID.get(number, "")
    assert set(sys.path) - set(before) <= {str(folder), str(tmp_path)}


def test_two_learners_files_of_one_name_are_not_mixed_up(tmp_path):
    """The second `step_01` is the one beside the second learner's file."""
    first, second = (forks.write(tmp_path / name / "steps") for name in ("a", "b"))
    for folder in (first, second):
        (folder / "step_01.py").write_text(f"class GPT2Config:\n    of = {str(folder)!r}\n")
        list(check_step(STEPS[3], folder / "step_04.py", quick=True))
        assert sys.modules["step_01"].GPT2Config.of == str(folder)


def test_a_learners_folder_inside_of_anothers_is_not_mixed_up_with_it(tmp_path):
    """`step_01` of a folder below is another file than the one beside."""
    for folder in (tmp_path / "steps" / "old", tmp_path / "steps" / "new"):
        forks.write(folder)
        (folder / "step_01.py").write_text(f"class GPT2Config:\n    of = {str(folder)!r}\n")
    (tmp_path / "steps" / "step_01.py").write_text("class GPT2Config:\n    of = 'above'\n")
    (tmp_path / "steps" / "step_04.py").write_text(forks.MLP.format(config="step_01"))
    list(check_step(STEPS[3], tmp_path / "steps" / "old" / "step_04.py", quick=True))
    list(check_step(STEPS[3], tmp_path / "steps" / "step_04.py", quick=True))
    assert sys.modules["step_01"].GPT2Config.of == "above"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "from max.nn.module_v3 import Module",
            "max.nn.module_v3 is max.experimental.nn in MAX 26",
        ),
        ("from max.nn import module_v3 as nn", "max.nn.module_v3 is max.experimental.nn in MAX 26"),
        ("from max.nn.module_v3.norm import RMSNorm", "is max.experimental.nn in MAX 26"),
        ("from max.tensor import Tensor", "max.tensor is max.experimental.tensor in MAX 26"),
        ("from max import functional as F", "max.functional is max.experimental.functional in"),
    ],
)
def test_a_renamed_module_of_max_is_named_with_what_to_write(line, said, tmp_path):
    file = tmp_path / "step_04.py"
    file.write_text(f"{line}\n\n\nclass GPT2MLP(Module):\n    x = 1\n")
    (phase,) = check_step(STEPS[3], file)
    assert said in phase.problem
    assert phase.notes == (f"  step_04.py:1 in <module>: {line}",)


def test_a_module_that_is_missing_is_looked_for_beside_the_folder(tmp_path):
    forks.write(tmp_path / "steps")
    file = tmp_path / "solutions" / "solution_04.py"
    file.parent.mkdir()
    file.write_text("from step_01 import GPT2Config\n")
    (phase,) = check_step(STEPS[3], file)
    assert "No module named 'step_01'" in phase.problem
    assert "there is a steps/step_01.py beside its folder" in phase.hint


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (forks.MASK, "defines no GPT2Block", "causal_mask is step 2 here: python -m verify step 2"),
        ("class gpt2block:\n    x = 1\n", "defines no GPT2Block", "is it called gpt2block?"),
        (
            WHOLE.replace("(self, config)", "(self, config, layer)"),
            "what it defines does not fit: Norms, TransformerLayer", "it is called as GPT2Block(",
        ),
        (
            WHOLE + "\n\nclass Other(TransformerLayer):\n    pass\n",
            "several fit: TransformerLayer, Other", "it is called as GPT2Block(config)",
        ),
    ],
    ids=["another step's", "letters", "none fits", "several fit"],
)  # fmt: skip
def test_what_cannot_be_the_steps_is_said(text, problem, hint, tmp_path):
    folder = forks.write(tmp_path / "steps")
    file = folder / "step_09.py"
    file.write_text(text)
    phase = list(check_step(STEPS[8], file, quick=True))[-1]
    assert phase.title == PHASES[1]
    assert problem in phase.problem
    assert hint in phase.hint


def test_a_book_that_counts_otherwise_is_read_by_what_its_files_define(tmp_path):
    """The later edition: MLP 2, mask 3, attention 4, norm 5."""
    (tmp_path / "step_02.py").write_text(forks.MLP.format(config="step_01"))
    (tmp_path / "step_03.py").write_text(forks.MASK)
    (tmp_path / "step_04.py").write_text(forks.ATTENTION.format(mask="step_03"))
    (tmp_path / "step_05.py").write_text("class LayerNorm:\n    pass\n")
    (tmp_path / "step_07.py").write_text("class MaxGPT2Model:\n    pass\n")
    (tmp_path / "step_10.py").write_text("def sampled(x):\n    return x\n")
    found = {step.number: file.name for step in STEPS if (file := find(step, tmp_path))}
    assert found == {
        2: "step_03.py", 3: "step_05.py", 4: "step_02.py", 5: "step_05.py", 7: "step_04.py",
        10: "step_10.py",
    }  # fmt: skip


def test_the_table_of_a_fork_counts_its_steps(tmp_path, capsys):
    folder = forks.write(tmp_path / "mine")
    for number in (2, 4, 6, 7, 9):  # each is checked in a process of its own, and compiled
        (folder / f"step_{number:02}.py").unlink()
    assert all_steps([str(folder), "--json", str(tmp_path / "out.json")]) == 1
    report = json.loads((tmp_path / "out.json").read_text())
    (first,) = [step for step in report["steps"] if step["step"] == 1]
    # The book's configuration does not check that heads share the features evenly.
    assert [phase["passed"] for phase in first["phases"]] == [True] * 4 + [False]
    assert "0 of 12 steps done" in capsys.readouterr().out
