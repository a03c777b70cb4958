"""What cannot be judged is an error in one sentence."""

import pytest

from verify.api import MaxParityError, check


@pytest.mark.parametrize(
    ("candidate", "options", "sentence"),
    [
        ("nowhere.py:Model", {}, "there is no file nowhere.py"),
        ("broken.py", {}, "is not FILE.py:NAME"),
        ("own_names.py:MyGPT", {"model": "no/where/at/all"}, "neither a folder nor a hub id"),
        ("own_names.py:MyGPT", {"arguments": ["--lengths", "x"]}, "not a list of whole numbers"),
        ("own_names.py:MyGPT", {"reference": "hf:nowhere"}, "transformers cannot read a decoder"),
    ],
)
def test_a_mistake_is_one_sentence(folder, runs, candidate, options, sentence):
    with pytest.raises(MaxParityError, match=sentence) as raised:
        check(candidate, quick=True, folder=folder, **options)
    assert "\n" not in str(raised.value)


def test_what_a_candidate_raises_has_its_line(folder, runs):
    with pytest.raises(MaxParityError, match="raises ValueError: no, thanks") as raised:
        check("broken.py:model", quick=True, folder=folder)
    assert raised.value.place == (str(folder / "broken.py"), 2)


def test_the_tables_are_shown_where_they_are_asked_for(folder, runs, capfd):
    with pytest.raises(MaxParityError):
        check("broken.py:model", quick=True, folder=folder)
    assert capfd.readouterr().out == ""
    with pytest.raises(MaxParityError):
        check("broken.py:model", quick=True, folder=folder, show=True)
    assert "Verdict: ERROR" in capfd.readouterr().out
