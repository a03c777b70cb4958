"""The gravest check is the same one in the terminal, on the page and in the tables."""

import pytest

from reports.tables.verdicts import SEVERITY, gravity


def test_verdicts_from_the_mildest_to_the_gravest():
    assert sorted(SEVERITY, key=SEVERITY.get) == ["PASS", "SKIP", "UNDERPOWERED", "ERROR", "FAIL"]


@pytest.mark.parametrize(
    ("graver", "milder"),
    [
        (("FAIL", 0.1), ("PASS", 0.9)),
        (("PASS", 0.9), ("PASS", 0.1)),
        (("FAIL", "nan"), ("FAIL", 1e9)),
        (("FAIL", None), ("FAIL", 1e9)),
        (("PASS", 0.0), ("PASS", None)),
        (("ODD", 0.5), ("UNDERPOWERED", 0.5)),
        (("FAIL", 2.0), (None, 2.0)),
    ],
)
def test_one_check_is_graver_than_another(graver, milder):
    assert gravity(*graver) > gravity(*milder)
