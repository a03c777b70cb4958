"""The atlas of MAX's architectures, and the command that makes it."""

import json

import pytest

from verify.package.atlas import RECORDS, atlas, line_of, read_rows
from verify.package.names import ANSWERS
from verify.package.zoo import ask, built_ins, main, without_paths


def row(name, verdict, reason="", seed=0, **answers):
    given = {key: {"verdict": value, "seconds": 3.2} for key, value in answers.items()}
    return {"name": name, "seed": seed, "verdict": verdict, "seconds": 12.0, "answers": given,
            "reason": reason, "relative": 2e-15}  # fmt: skip


RIGHT = row("LlamaForCausalLM_ModuleV3", "PASS", preflight="PASS", mathematics="PASS")
WRONG = row("Olmo2ForCausalLM", "FAIL", "q_norm: found eps | 1e-06", mathematics="FAIL")
SKIPPED = {"name": "BertModel", "seed": 0, "verdict": "SKIP", "seconds": 1.0, "reason": "no text"}


def test_each_architecture_has_a_row_with_its_answers_and_what_fails():
    page = atlas([WRONG, RIGHT])
    assert "| LlamaForCausalLM | V3 | ✅ 3 |" in page
    assert "| Olmo2ForCausalLM | V2 |" in page
    assert "q_norm: found eps \\| 1e-06" in page
    assert "2 architectures were asked, and 0 could not be" in page
    assert "mathematics 1 right, 1 wrong" in page


def test_what_could_not_be_asked_has_its_reason():
    assert "| BertModel | no text |" in atlas([SKIPPED, RIGHT])


def test_several_tiny_models_of_an_architecture_are_counted():
    ignored = {**RIGHT["answers"], "configuration": {"verdict": "FAIL", "seconds": 1.0}}
    wrong = {**RIGHT["answers"], "mathematics": {"verdict": "FAIL", "seconds": 1.0}}
    page = atlas([
        {**RIGHT, "verdict": "FAIL", "answers": ignored}, {**RIGHT, "seed": 1},
        {**RIGHT, "seed": 2, "verdict": "FAIL", "answers": wrong},
    ])  # fmt: skip
    assert "right in all but their configuration: LlamaForCausalLM_ModuleV3 2 of 3" in page
    assert page.count("| LlamaForCausalLM |") == 1


def test_rows_are_read_as_far_as_they_were_written(tmp_path):
    records = tmp_path / RECORDS
    assert read_rows(records) == []
    records.write_text("".join(json.dumps(one) + "\n" for one in (RIGHT, WRONG, RIGHT)))
    assert len(read_rows(records)) == 2


def test_a_row_for_the_terminal_names_what_was_answered():
    assert line_of(WRONG) == (
        "FAIL         Olmo2ForCausalLM (12 s) mathematics FAIL: q_norm: found eps | 1e-06"
    )


def test_max_has_many_architectures_of_both_kinds():
    names = built_ins()
    assert {"LlamaForCausalLM", "Olmo2ForCausalLM", "LlamaForCausalLM_ModuleV3"} <= set(names)


def test_an_unknown_name_is_one_sentence(capsys):
    assert main(["NoSuchModel"]) == 2
    assert "no architecture NoSuchModel" in capsys.readouterr().err


def test_what_is_written_already_is_not_asked_again(tmp_path, capsys):
    (tmp_path / RECORDS).write_text(json.dumps(SKIPPED) + "\n")
    assert main(["BertModel", "-o", str(tmp_path)]) == 0
    assert "no text" in (tmp_path / "README.md").read_text()


def test_an_architecture_that_takes_too_long_is_ended():
    found = ask("LlamaForCausalLM", ANSWERS, seed=0, limit_s=0.5, compiled=False)
    assert (found["verdict"], found["reason"]) == ("ERROR", "not done after 0.5 s")


@pytest.mark.parametrize("name", ["BertModel"])
def test_one_that_is_not_for_text_is_skipped_with_the_reason(name):
    found = ask(name, ANSWERS, seed=0, limit_s=120, compiled=False)
    assert found["verdict"] == "SKIP"
    assert "embeddings" in found["reason"]


def test_a_sentence_has_no_folder_of_this_machine():
    said = "no kernels in '/home/me/.venv/lib/python3.11/site-packages/modular/lib/x.mojoc'"
    assert without_paths(said) == "no kernels in 'modular/lib/x.mojoc'"
