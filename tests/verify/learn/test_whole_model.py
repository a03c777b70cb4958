"""The learner's own GPT-2: twelve files as one model, verified, and a page of it."""

import json
import re
from html import unescape

import pytest

from tests.conforming import file_misfits
from tests.verify.learn.learners import solve
from verify.learn.learner_folder import LearnerFolder
from verify.learn.learning import main
from verify.learn.whole_model import Asked, text_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve files that pass, and a place for runs."""
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path / "runs"))
    return solve(tmp_path / "mine", *range(1, 13))


def test_the_twelve_files_are_the_model_and_get_a_page(folder, capfd):
    learner = LearnerFolder(folder)
    learner.state.note(3, passed="2026-11-30 12:50", hints={"TODO 1": 2}, solution="2026-11-30")
    answer = folder / "answer.json"
    assert main([str(folder), "--whole", "--quick", "--json", str(answer)]) == 0
    assert file_misfits("learn", answer) == []
    said = capfd.readouterr().out
    assert "Verdict: PASS, not compiled" in said
    assert "And it came to pass" in said
    assert learner.whole_is_done()
    kept = json.loads((folder / "gpt2.json").read_text())
    assert kept["text"]["tokens"] == 40
    page = re.sub(r"\s+", " ", unescape((folder / "my_gpt2.html").read_text()))
    assert "Your GPT-2 is the same model as PyTorch's" in page
    assert "nothing was compiled" in page
    assert kept["text"]["text"][-20:].strip() in page
    assert 'data-place="h.5.mlp.c_proj"' in page
    assert "2 hints, the solution" in page
    assert "2026-11-30 12:50" in page


def test_a_whole_that_is_another_model_fails_and_gets_no_page(folder, capfd):
    last = folder / "step_10.py"
    right = "        return self.ln_f(x)"
    assert right in last.read_text()
    last.write_text(last.read_text().replace(right, "        return self.ln_f(x) * 1.01"))
    assert main([str(folder), "--whole", "--quick"]) == 1
    assert "First divergence" in capfd.readouterr().out
    assert not (folder / "my_gpt2.html").exists()
    assert not LearnerFolder(folder).whole_is_done()


def test_a_generation_that_raises_gives_no_text_but_a_reason(folder):
    last = folder / "step_12.py"
    last.write_text("def generate(logits, ids, max_new_tokens):\n    return logits(ids) / None\n")
    found = text_of(
        LearnerFolder(folder), Asked(quick=True), f"{folder / 'step_11.py'}:GPT2LMHeadModel",
        f"{last}:generate",
    )  # fmt: skip
    assert "text" not in found
    assert found["reason"].startswith("generate raises TypeError")
