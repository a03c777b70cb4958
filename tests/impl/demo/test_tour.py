"""The demo shows a model from all sides, says where it is wrong, and refuses in one sentence."""

import re
from dataclasses import replace

import numpy as np
import pytest

from impl.__main__ import main
from impl.demo import inside_model, tour
from impl.demo.inside_model import Seen, in_float64
from reference.oracle import Oracle
from reference.taps import LOGITS


@pytest.fixture(scope="module")
def ids():
    return np.arange(3, 12)[None]


def test_numpy_sees_the_shares_of_every_block_and_head(checkpoint, ids):
    seen = in_float64(checkpoint, ids)
    config = checkpoint.config
    assert seen.shares.shape == (config.n_layer, config.n_head, 9, 9)
    assert seen.shares.dtype == np.float64
    np.testing.assert_allclose(seen.shares.sum(axis=-1), 1, rtol=1e-14)
    assert not np.triu(seen.shares, k=1).any()
    np.testing.assert_array_equal(seen.logits, Oracle(checkpoint).trace(ids)[LOGITS][0])


@pytest.mark.parametrize(
    ("spoil", "near"),
    [
        (lambda logits: logits + 1e-6, True),
        (lambda logits: logits * 1.01, False),
        (lambda logits: logits[:, ::-1], False),
        (lambda logits: np.where(logits == logits.max(), np.nan, logits), False),
    ],
)
def test_logits_are_near_only_where_they_are(spoil, near):
    logits = np.random.default_rng(0).normal(size=(4, 50))
    assert tour._near(spoil(logits), logits) is near


def test_a_tie_may_be_broken_either_way():
    truth = np.array([[1.0, 1.0 + 1e-9, 0.0]])
    assert tour._near(np.array([[1.0 + 1e-9, 1.0, 0.0]]), truth)
    assert not tour._near(np.array([[1.0, 0.0, 1.0]]), np.array([[1.0, 0.99999, 1.00002]]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "random:tiny"], "random:tiny has no tokenizer"),
        (["--model", "nowhere/at-all/here"], "is neither a folder nor a hub id"),
        (["--blocks", "0,6"], "--blocks: '6' is not a number from 0 to 5"),
        (["--heads", "x"], "--heads: 'x' is not a number from 0 to 3"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["", "--blocks", "1"], "the prompt is empty"),
        (["--max-new-tokens", "0"], "the number of new tokens must be at least 1"),
        (["--page", "nowhere/page.html"], "--page: there is no folder nowhere"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(capsys, arguments, sentence):
    assert main(["demo", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sentence in printed.err
    assert printed.err.count("\n") == 1


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What a demo of the shipped model prints, and its page."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr(tour.Console, "print", _kept(lines, tour.Console.print))
        words = ["demo", "--blocks", "0,5", "--heads", "1", "--max-new-tokens", "8"]
        code = main([*words, "--page", str(folder / "page.html")])
    return code, "\n".join(lines), (folder / "page.html").read_text(encoding="utf-8")


def _kept(lines, original):
    def kept(self, *objects, **options):
        lines.append(" ".join(map(str, objects)))
        original(self, *objects, **options)

    return kept


@pytest.mark.compiles
def test_the_shipped_model_is_right_and_everything_is_shown(shown):
    code, text, _ = shown
    assert code == 0
    assert "WRONG" not in text
    assert "beside NumPy in float64 the likeliest token is the same at 5 of 5 positions" in text
    assert "h.0 head 1" in text
    assert "h.5 head 1" in text
    assert "h.1" not in text
    assert "greedy (temperature 0: always the likeliest token)" in text
    assert "moderate (temperature 0.7, top-k 40, top-p 0.95, seed 0)" in text
    assert re.search(r"decode: [\d,]+ \(", text)


@pytest.mark.compiles
def test_the_greedy_text_is_that_of_generate(shown, capfd):
    words = ["generate", tour.PROMPT, "--greedy", "--max-new-tokens", "8", "--no-stats"]
    assert main(words) == 0
    expected = capfd.readouterr().out.strip()
    assert expected in shown[1]


@pytest.mark.compiles
def test_the_page_has_every_head_and_what_was_printed(shown):
    page = shown[2]
    assert page.count('aria-label="layer ') == 6 * 4
    assert "The forward pass is right" in page
    assert "creative (temperature 1.1, no top-k, top-p 0.98, seed 0)" in page
    assert "NumPy, float64" in page


@pytest.mark.compiles
def test_shares_of_max_are_those_of_numpy_and_a_wrong_forward_pass_is_told(tiny, ids, monkeypatch):
    seen, truth = inside_model.InsideModel(tiny, "cpu")(ids), in_float64(tiny, ids)
    assert seen.shares.dtype == np.float32
    np.testing.assert_allclose(seen.shares, truth.shares, atol=1e-5)
    np.testing.assert_allclose(seen.logits, truth.logits, atol=1e-4)

    class Engine:
        def prefill(self, ids, logits):
            return seen.logits[None]

    assert all(holds for holds, _ in tour._checks(tiny, ids, seen, truth, Engine()))
    other = replace(tiny, config=replace(tiny.config, scale_attn_weights=False))
    wrong = in_float64(other, ids)
    told = [holds for holds, _ in tour._checks(tiny, ids, seen, wrong, Engine())]
    assert told == [True, True, True, True, False]
    upside_down = Seen(seen.logits, seen.shares.swapaxes(-1, -2))
    told = [holds for holds, _ in tour._checks(tiny, ids, upside_down, truth, Engine())]
    assert told == [True, True, False, True, True]
