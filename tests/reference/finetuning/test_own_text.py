"""A text is divided without loss, from the whole of it, and encoded document by document."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.finetuning.own_text import divided, encoded, first_words, load_tokenizer
from reference.load import TINY_FOLDER, load


@given(st.text(min_size=1, max_size=3000), st.floats(0.02, 0.5))
def test_no_character_is_lost_or_doubled(text, share):
    training, validation = divided(text, share)
    assert sorted("".join(training + validation)) == sorted(text.strip())
    assert all(part in text for part in training + validation)


def test_what_is_held_out_comes_from_the_whole_text():
    lines = [f"line {number}\n" for number in range(5000)]
    _, validation = divided("".join(lines), 0.1)
    starts = [lines.index(part.splitlines(keepends=True)[0]) for part in validation]
    assert starts == sorted(starts)
    assert starts[0] < 1500
    assert starts[-1] > 3500
    assert sum(map(len, validation)) == pytest.approx(0.1 * len("".join(lines)), rel=0.2)


def test_blocks_end_with_lines():
    _, validation = divided("".join(f"line {number}\n" for number in range(5000)), 0.1)
    assert all(part.startswith("line") and part.endswith("\n") for part in validation)


def test_a_text_of_one_line_is_divided_between_words():
    training, validation = divided("word " * 2000, 0.2)
    assert training
    assert validation
    assert all(part.split(" ")[0] == "word" for part in training + validation)


def test_each_document_begins_with_the_end_of_text():
    tiny = load("tiny")
    tokenizer = load_tokenizer("tiny", TINY_FOLDER, tiny.config)
    ids = encoded(tokenizer, ["In the beginning", "And God said"]).tolist()
    assert ids.count(tokenizer.eos_token_id) == 2
    assert ids[0] == tokenizer.eos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == "In the beginningAnd God said"


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("  one\ntwo  three ", "one two three"),
        ("word " * 100, "word word word word word word word word"),
        ("x" * 100, "x" * 40),
    ],
)
def test_a_prompt_is_the_first_words_on_one_line(text, prompt):
    assert first_words(text) == prompt
