"""The state is a file that people read and edit: whatever is in it, nothing is lost."""

import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.commands import UsageError
from verify.learn.kept_state import State, as_toml

KEYS = st.text(max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_is_written_is_read_back(document):
    assert tomllib.loads(as_toml(document)) == document


def test_what_is_noted_is_remembered_and_the_rest_stays(tmp_path):
    state = State(tmp_path)
    assert state.of(3).begun == ""
    state.note(3, begun="2026-11-30 12:50")
    state.note(3, hints={"TODO 2": 3}, files={"step_03.py": "3a7b"})
    kept = State(tmp_path).of(3)
    assert (kept.begun, kept.hints) == ("2026-11-30 12:50", {"TODO 2": 3})
    assert kept.files == {"step_03.py": "3a7b"}


def test_what_a_hand_has_added_is_kept(tmp_path):
    state = State(tmp_path)
    state.path.write_text('mood = "good"\n[step.1]\npassed = 2026-11-30\nmine = [1, 2]\n')
    assert state.of(1).passed == "2026-11-30"
    state.note(1, checked="compiled")
    document = tomllib.loads(state.path.read_text())
    assert document["mood"] == "good"
    assert document["step"]["1"] == {
        "passed": date(2026, 11, 30), "mine": [1, 2], "checked": "compiled"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[step.1\n", "is not TOML"),
        ("step = 3\n", "`step` is not a table of tables"),
        ("[step]\n1 = 2\n", "`step` is not a table of tables"),
        ("[step.1]\npassed = 5\n", "step 1: passed has 5, and should be a text"),
        ("[step.1]\nhints = 2\n", "step 1: hints has 2, and should be a table"),
        ("[step.1.hints]\na = true\n", "hints has True"),
        ("[step.1.files]\na = 1\n", "files has 1"),
    ],
)
def test_a_state_that_cannot_be_read_is_one_sentence_and_is_not_written_over(
    text, sentence, tmp_path
):
    state = State(tmp_path)
    state.path.write_text(text)
    for use in (lambda: state.of(1), lambda: state.note(1, passed="now")):
        with pytest.raises(UsageError, match="nothing is lost") as caught:
            use()
        assert sentence in str(caught.value)
    assert state.path.read_text() == text
