"""Fine-tuning leaves checkpoints that others load, can be continued, refuses in a sentence."""

import json

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer, GPT2LMHeadModel

from reference.__main__ import main
from reference.checkpoint import weights_sha256
from reference.finetuning import adapters, command, tuned
from reference.load import load
from tests.conforming import file_misfits

HOW = {"whole": (), "lora": ("--lora", "2")}
IDS = torch.arange(1, 31)[None]


def record(out):
    return json.loads((out / "training.json").read_text(encoding="utf-8"))


def same(one, other):
    return weights_sha256(load(str(one)).weights) == weights_sha256(load(str(other)).weights)


@pytest.fixture(scope="module", params=HOW)
def how(request):
    return HOW[request.param]


@pytest.fixture(scope="module")
def done(finetune, how, tmp_path_factory):
    """The folder of a fine-tuning that came to its end."""
    out = tmp_path_factory.mktemp("done") / "out"
    assert finetune(out, *how) == 0
    return out


def test_the_result_is_the_last_checkpoint_and_transformers_loads_it(done):
    model, info = GPT2LMHeadModel.from_pretrained(done, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.dtype == torch.float32
    assert AutoTokenizer.from_pretrained(done)("the").input_ids
    assert same(done, done / "checkpoint-4")


def test_training_begins_with_the_model_as_it_was_and_changes_it(done, model):
    assert same(done / "checkpoint-0", model)
    assert not same(done / "checkpoint-2", model)
    assert not same(done / "checkpoint-4", done / "checkpoint-2")


def test_the_record_has_the_form_that_is_promised(done):
    values = record(done)
    assert not file_misfits("finetune", done / "training.json")
    assert values["finished"]
    assert [kept["step"] for kept in values["checkpoints"]] == [0, 2, 4]
    assert [kept["sha256"] for kept in values["checkpoints"]] == [
        weights_sha256(load(str(done / kept["folder"])).weights) for kept in values["checkpoints"]
    ]


def test_nothing_is_left_to_go_on_from(done, capsys):
    assert not list(done.rglob("state.pt"))
    assert command.main(["--resume", str(done)]) == 2
    assert "nothing to continue" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_weights_and_another_others(finetune, how, done, tmp_path):
    assert finetune(tmp_path / "again", *how) == 0
    assert finetune(tmp_path / "other", *how, "--seed", "5") == 0
    assert same(tmp_path / "again", done)
    assert not same(tmp_path / "other", done)


def test_training_lowers_both_losses(finetune, tmp_path):
    out = tmp_path / "out"
    assert finetune(out, "--steps", "40", "--learning-rate", "0.01") == 0
    first, last = record(out)["points"][0], record(out)["points"][-1]
    assert first["train_loss"] is None
    assert last["train_loss"] < record(out)["points"][1]["train_loss"]
    assert last["validation_loss"] < 0.9 * first["validation_loss"]


@pytest.mark.parametrize("more", [(), ("--dropout", "0.2")])
def test_a_continued_run_gives_the_weights_of_one_that_was_not_interrupted(
    finetune, how, tmp_path, monkeypatch, capsys, more
):
    update = tuned.Tuning._update

    def interrupted(self):
        if self.step == 3:
            raise KeyboardInterrupt
        return update(self)

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert finetune(whole, *how, *more) == 0
    with monkeypatch.context() as patch:
        patch.setattr(tuned.Tuning, "_update", interrupted)
        assert finetune(parts, *how, *more) == 130
    told = capsys.readouterr().err
    assert f"the last checkpoint is {parts / 'checkpoint-2'}" in told
    assert f"finetune --resume {parts}" in told
    assert command.main(["--resume", str(parts), "--no-verify"]) == 0
    assert same(whole, parts)
    assert record(parts)["points"] == record(whole)["points"]


def test_a_merged_model_is_the_adapted_one(finetune, model, tmp_path):
    out = tmp_path / "out"
    assert finetune(out, "--lora", "2", "--learning-rate", "0.05") == 0
    base = GPT2LMHeadModel.from_pretrained(model, dtype=torch.float64)
    adapted = PeftModel.from_pretrained(base, out / "adapter").double().eval()
    merged = GPT2LMHeadModel.from_pretrained(out, dtype=torch.float64).eval()
    with torch.no_grad():
        ours, theirs = merged(IDS).logits, adapted(IDS).logits
        before = GPT2LMHeadModel.from_pretrained(model, dtype=torch.float64)(IDS).logits
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()  # rounded once to float32
    assert (ours - before).abs().max() > 1e-3 * theirs.abs().max()
    figures = [kept["merged"] for kept in record(out)["checkpoints"]]
    assert all(one["same"] and one["float64"] <= adapters.MOST * one["largest"] for one in figures)
    assert figures[0]["float64"] == 0.0 < figures[-1]["float32"]


def test_a_merged_model_that_is_another_one_ends_the_run(finetune, tmp_path, monkeypatch, capsys):
    merged_of = adapters.merged_of

    def without_a_block(adapted):
        adapted = merged_of(adapted)
        torch.nn.init.zeros_(adapted.transformer.h[0].mlp.c_fc.weight)
        return adapted

    monkeypatch.setattr(adapters, "merged_of", without_a_block)
    assert finetune(tmp_path / "out", "--lora", "2") == 2
    assert "the merged model is not the adapted one" in capsys.readouterr().err


def test_only_adapters_are_trained(finetune, model, tmp_path):
    out = tmp_path / "out"
    assert finetune(out, "--lora", "1", "--lora-targets", "c_attn") == 0
    before, after = load(str(model)).weights, load(str(out)).weights
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {f"transformer.h.{layer}.attn.c_attn.weight" for layer in range(2)}
    assert record(out)["trained_parameters"] == 2 * (16 + 3 * 16)


def test_a_run_that_diverges_says_so(finetune, tmp_path, capsys):
    assert finetune(tmp_path / "out", "--learning-rate", "1e30") == 2
    assert "training has diverged by step 2" in capsys.readouterr().err


def test_a_pipe_gets_plain_lines(finetune, tmp_path, capsys):
    assert finetune(tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("step")] == [
        f"step {step} of 4" for step in range(5)
    ]
    assert "\x1b" not in "".join(lines)
    assert lines[-1].endswith(f"--model {tmp_path / 'out'} PROMPT")


class TestRefused:
    @pytest.fixture
    def told(self, capsys):
        def told():
            printed = capsys.readouterr()
            assert printed.err.count("\n") == 1
            return printed.err

        return told

    def test_a_text_that_is_too_short(self, finetune, tmp_path, told):
        (tmp_path / "short.txt").write_text("a word or two\nand three more\n")
        assert finetune(tmp_path / "out", "--text", str(tmp_path / "short.txt")) == 2
        assert "is too short" in told()

    def test_an_empty_text(self, finetune, tmp_path, told):
        (tmp_path / "empty.txt").write_text("")
        assert finetune(tmp_path / "out", "--text", str(tmp_path / "empty.txt")) == 2
        assert "is too short" in told()

    def test_bytes_that_are_not_utf_8(self, finetune, tmp_path, told):
        (tmp_path / "latin.txt").write_bytes("naïve".encode("latin-1"))
        assert finetune(tmp_path / "out", "--text", str(tmp_path / "latin.txt")) == 2
        assert "is not UTF-8: byte 2" in told()

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (["--text", "nowhere.txt"], "nowhere.txt cannot be read"),
            (["--lora", "17"], "--lora 17 is too large"),
            (["--model", "random:tiny"], "random:tiny has no tokenizer"),
            (["--model", "random:giant"], "is not random:PRESET"),
            (["--length", "65"], "--length 65"),
            (["--prompt", ""], "--prompt has 0 tokens"),
        ],
    )
    def test_what_cannot_be_done(self, finetune, tmp_path, told, options, sentence):
        assert finetune(tmp_path / "out", *options) == 2
        assert sentence in told()
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        "options",
        [["--lora", "0"], ["--lora", "-3"], ["--steps", "0"], ["--held-out", "0.9"],
         ["--lora-targets", "wte"], ["--learning-rate", "nan"]],
    )  # fmt: skip
    def test_options_that_mean_nothing(self, finetune, tmp_path, told, options):
        with pytest.raises(SystemExit, match="2"):
            finetune(tmp_path / "out", *options)
        assert options[0] in told()

    def test_a_folder_that_is_not_empty(self, finetune, tmp_path, told):
        (tmp_path / "thesis.tex").write_text("years of work")
        assert finetune(tmp_path) == 2
        assert "is not empty" in told()
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_a_text_that_is_not_named(self, told):
        assert main(["finetune"]) == 2
        assert "--text FILE is needed" in told()

    def test_a_folder_that_no_run_left(self, tmp_path, told):
        assert command.main(["--resume", str(tmp_path)]) == 2
        assert "no fine-tuning to continue" in told()

    def test_another_option_or_another_text_in_the_middle(
        self, finetune, text, tmp_path, monkeypatch, capsys, told
    ):
        def interrupted(self):
            raise KeyboardInterrupt

        mine, out = tmp_path / "mine.txt", tmp_path / "out"
        mine.write_text(text.read_text())
        with monkeypatch.context() as patch:
            patch.setattr(tuned.Tuning, "_update", interrupted)
            assert finetune(out, "--text", str(mine)) == 130
        capsys.readouterr()
        assert command.main(["--resume", str(out), "--seed", "4"]) == 2
        assert "--seed cannot be changed" in told()
        mine.write_text("another text")
        assert command.main(["--resume", str(out)]) == 2
        assert "mine.txt" in told()
