"""Text survives the way to ids and back, also token by token, and bad files are told."""

import json
import os

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from max.driver import CPU, Buffer
from max.dtype import DType
from tokenizers import Tokenizer as Backend
from tokenizers import models
from transformers import GPT2TokenizerFast

from impl.runtime import to_device
from impl.tokenizer import TextStream, Tokenizer, TokenizerError

VALID_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MIXED = "naïve 漢字 🎉\n\tend"


@pytest.fixture
def legacy_folder(tokenizer_folder, tmp_path):
    """The same tokenizer as `vocab.json` and `merges.txt`."""
    Backend.from_file(str(tokenizer_folder / "tokenizer.json")).model.save(str(tmp_path))
    return tmp_path


@given(text=VALID_TEXT)
def test_text_comes_back_whole(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=VALID_TEXT)
def test_a_character_is_never_shown_in_halves(tokenizer, text):
    stream, shown = TextStream(tokenizer), ""
    for token in tokenizer.encode(text):
        shown += stream.feed(token)
        assert text.startswith(shown)
    assert shown + stream.finish() == text


@given(ids=st.lists(st.integers(0, 320), max_size=30))
def test_any_ids_stream_to_what_they_decode_to(tokenizer, ids):
    stream = TextStream(tokenizer)
    streamed = "".join(stream.feed(token) for token in ids) + stream.finish()
    assert streamed == tokenizer.decode(ids)


def test_a_character_in_several_tokens_appears_with_its_last(tokenizer):
    pieces = tokenizer.encode("🦜")  # not in the text that the tokenizer was trained on
    assert len(pieces) > 1
    stream = TextStream(tokenizer)
    assert [stream.feed(token) for token in pieces] == [""] * (len(pieces) - 1) + ["🦜"]


def test_half_a_character_at_the_end_is_marked(tokenizer):
    stream = TextStream(tokenizer)
    assert stream.feed(tokenizer.encode("🦜")[0]) == ""
    assert stream.finish() == "\ufffd"


@given(text=VALID_TEXT, stop=st.text("ab c", min_size=1, max_size=4), more=VALID_TEXT)
def test_a_stop_text_ends_the_text_wherever_tokens_are_cut(tokenizer, text, stop, more):
    whole = text + stop + more
    stream, shown = TextStream(tokenizer, [stop]), ""
    for token in tokenizer.encode(whole):
        shown += stream.feed(token)
    assert stream.stopped
    assert shown + stream.finish() == whole[: whole.index(stop)]


@given(
    text=VALID_TEXT | st.text("abc", max_size=8),
    stops=st.lists(st.text("ab", min_size=1, max_size=3), max_size=3),
)
@example(text="aba", stops=["b", "aba"])
@example(text="aba", stops=["ba", "a"])
def test_what_looks_like_a_stop_text_is_only_held_back(tokenizer, text, stops):
    """The first stop text to be complete ends the text, however it is cut into tokens."""
    stream = TextStream(tokenizer, stops)
    shown = "".join(stream.feed(token) for token in tokenizer.encode(text))
    shown += stream.finish()
    found = [(text.index(stop) + len(stop), text.index(stop)) for stop in stops if stop in text]
    assert stream.stopped == bool(found)
    assert shown == (text[: min(found)[1]] if found else text)


def test_ids_are_those_of_transformers(tokenizer, tokenizer_folder):
    theirs = GPT2TokenizerFast(tokenizer_file=str(tokenizer_folder / "tokenizer.json"))
    for text in (MIXED, "<|endoftext|>a<|endoftext|>", " leading and trailing "):
        assert tokenizer.encode(text) == theirs(text)["input_ids"]


def test_vocab_json_and_merges_txt_make_the_same_tokenizer(tokenizer, legacy_folder):
    legacy = Tokenizer.load(legacy_folder)
    text = f"{MIXED}<|endoftext|>In the beginning"
    assert legacy.encode(text) == tokenizer.encode(text)
    assert legacy.decode(legacy.encode(text)) == text
    assert (legacy.vocab_size, legacy.eos_token_id) == (300, 0)


def test_special_tokens(tokenizer):
    assert tokenizer.vocab_size == 300
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == 0
    assert tokenizer.encode("<|endoftext|>") == [0]


@pytest.mark.parametrize("named", ["the", {"content": "the", "lstrip": False}])
def test_tokenizer_config_names_the_end_of_text(tokenizer_folder, tmp_path, named):
    os.link(tokenizer_folder / "tokenizer.json", tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": named}))
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.encode("the") == [tokenizer.eos_token_id]


def test_truncation_and_padding_of_the_file_are_not_followed(tokenizer_folder, tmp_path):
    backend = Backend.from_file(str(tokenizer_folder / "tokenizer.json"))
    backend.enable_truncation(2)
    backend.enable_padding(length=50)
    backend.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer.load(tmp_path).decode(Tokenizer.load(tmp_path).encode(MIXED)) == MIXED


@pytest.mark.parametrize("padding", ["left", "right"])
def test_a_batch_is_padded_on_the_side_asked_for(tokenizer, padding):
    texts = ["the heaven and the earth", "", "a"]
    ids, mask = tokenizer.encode_batch(texts, padding=padding)
    assert ids.dtype == mask.dtype == np.int64
    assert ids.shape == mask.shape
    for text, row, real in zip(texts, ids, mask.astype(bool), strict=True):
        tokens = tokenizer.encode(text)
        assert row[real].tolist() == tokens
        assert (row[~real] == tokenizer.pad_token_id).all()
        edge = real[::-1] if padding == "left" else real
        assert edge[: len(tokens)].all()


@pytest.mark.parametrize(
    ("texts", "padding", "message"),
    [([], "left", "no text"), (["a"], "middle", "padding is left or right, not 'middle'")],
)
def test_a_batch_that_cannot_be_made_is_refused(tokenizer, texts, padding, message):
    with pytest.raises(TokenizerError, match=message):
        tokenizer.encode_batch(texts, padding=padding)


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2], [3, 4]], np.array([[5], [6]])[::-1]])
def test_ids_become_a_tensor_on_a_device(ids):
    tensor = to_device(ids, CPU())
    assert isinstance(tensor, Buffer)
    assert tensor.dtype == DType.int64
    assert tensor.to_numpy().tolist() == np.atleast_2d(ids).tolist()


def test_half_a_surrogate_pair_is_refused(tokenizer):
    with pytest.raises(TokenizerError, match="not valid Unicode at character 2"):
        tokenizer.encode("ab\ud800")


def test_missing_files_are_told(tmp_path):
    with pytest.raises(
        TokenizerError, match=r"no tokenizer in .*: tokenizer\.json, or vocab\.json"
    ):
        Tokenizer.load(tmp_path)


def test_vocab_json_alone_is_not_enough(legacy_folder):
    (legacy_folder / "merges.txt").unlink()
    with pytest.raises(TokenizerError, match="no tokenizer in"):
        Tokenizer.load(legacy_folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": 3}', "\x00"])
@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.json", "tokenizer_config.json"])
def test_damaged_files_are_told(legacy_folder, text, file):
    (legacy_folder / file).write_text(text)
    if (text, file) in {("[]", "tokenizer_config.json"), ('{"model": 3}', "tokenizer_config.json")}:
        assert Tokenizer.load(legacy_folder).eos_token_id == 0  # JSON that names no token
        return
    with pytest.raises(TokenizerError, match="cannot be read"):
        Tokenizer.load(legacy_folder)


def test_damaged_merges_are_told(legacy_folder):
    (legacy_folder / "merges.txt").write_text("#version: 0.2\nno-such-token other\n")
    with pytest.raises(TokenizerError, match="cannot be read"):
        Tokenizer.load(legacy_folder)


def test_another_kind_of_tokenizer_is_refused(tmp_path):
    Backend(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(TokenizerError, match="not a byte-level BPE"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_larger_than_the_model_is_refused(tokenizer_folder):
    assert Tokenizer.load(tokenizer_folder, model_vocab_size=300).vocab_size == 300
    with pytest.raises(TokenizerError, match="has 300 tokens, more than the model's 299"):
        Tokenizer.load(tokenizer_folder, model_vocab_size=299)
