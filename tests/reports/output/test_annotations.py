"""Remarks point at the user's file and line where they are known, and never at another file."""

import json

import pytest

from reports.__main__ import main
from reports.output.annotations import Annotation, remarks


@pytest.fixture
def root(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.py").write_text("one\ntwo\nthree\n")
    return tmp_path


def failing(root, **changed):
    """What `--json` tells of a run with one divergence, of a model in `models/mine.py`."""
    file = str(root / "models" / "mine.py")
    return {
        "verdict": "FAIL",
        "first_divergence": {"message": "h.0: too far off", "diagnosis": "found a, not b",
                             "blame": "the port's"},
        "findings": [{"text": "found a, not b"}, {"text": "and c, not d"}],
        "graph": {"operations": [
            {"departs": False, "file": file, "line": 1}, {"departs": True, "file": file, "line": 2},
        ]},
        "environment": {"candidate": f"{file}:Model"},
        "checks": [],
        **changed,
    }  # fmt: skip


def test_the_first_divergence_is_at_the_operation_that_departs(root):
    first, second = remarks(failing(root), root)
    assert str(first) == (
        "::error file=models/mine.py,line=2,title=max-parity%3A FAIL::"
        "h.0: too far off%0Afound a, not b%0Athe port's"
    )
    assert str(second) == "::error file=models/mine.py,title=max-parity%3A FAIL::and c, not d"


def test_without_a_place_the_candidates_file_is_named(root):
    told = failing(root, graph=None)
    assert str(remarks(told, root)[0]).startswith("::error file=models/mine.py,title=")


def test_a_file_elsewhere_is_not_named(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for remark in remarks(failing(root), other):
        assert str(remark).startswith("::error title=")


def test_an_error_is_at_the_line_that_raised_it(root):
    place = {"file": str(root / "models" / "mine.py"), "line": 3}
    told = {"verdict": "ERROR", "reason": "raises ValueError: 5%", "place": place, "checks": []}
    (remark,) = remarks(told, root)
    assert str(remark) == (
        "::error file=models/mine.py,line=3,title=max-parity%3A ERROR::raises ValueError: 5%25"
    )
    (remark,) = remarks({**told, "place": None}, root)
    assert str(remark).startswith("::error title=")


def test_where_no_place_diverges_the_failed_checks_are_named_and_not_too_many(root):
    check = {"case": "gelu_erf", "mode": "power", "verdict": "UNDERPOWERED", "message": "missed"}
    passed = {**check, "verdict": "PASS"}
    told = failing(root, verdict="UNDERPOWERED", first_divergence=None,
                   checks=[passed, *20 * [check]])  # fmt: skip
    found = remarks(told, root)
    assert len(found) == 8
    assert str(found[0]) == "::error title=max-parity%3A UNDERPOWERED::gelu_erf: missed"


def test_a_pass_is_a_notice(root):
    told = {"verdict": "PASS", "coverage": {"compared": 130}}
    assert list(map(str, remarks(told, root))) == [
        "::notice title=max-parity%3A PASS::130 places compared"
    ]


def test_what_would_end_a_command_is_escaped():
    remark = Annotation("error", "a:b,c", "one\ntwo\r100%", "x,y.py", 1)
    assert str(remark) == "::error file=x%2Cy.py,line=1,title=a%3Ab%2Cc::one%0Atwo%0D100%25"


def test_the_command_reads_what_json_wrote(root, monkeypatch, capsys):
    (root / "told.json").write_text(json.dumps(failing(root)))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(root))
    assert main(["annotate", str(root / "told.json")]) == 0
    assert capsys.readouterr().out.startswith("::error file=models/mine.py,line=2,")


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_what_json_did_not_write_is_one_sentence(tmp_path, capsys, text):
    if text is not None:
        (tmp_path / "told.json").write_text(text)
    assert main(["annotate", str(tmp_path / "told.json")]) == 2
    assert capsys.readouterr().err.startswith(f"reports: {tmp_path / 'told.json'} ")
