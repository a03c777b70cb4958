"""How good the check of each step is, and that the README says so."""

import re

import pytest

from verify.faults.catalogue import CATALOGUE
from verify.mutants.generate import KINDS
from verify.steps.wrong.how_good import (
    BEGIN,
    END,
    MISTAKES,
    README,
    main,
    markdown,
    measured,
    summary,
    updated,
)
from verify.steps.wrong.right_forms import RIGHT_FORMS
from verify.steps.wrong.source_mutants import EQUAL, source_mutants

STEPS = range(1, 15)
BY_RULE = (2, 5, 8, 12, 13)
"""Steps whose mutants are few: the command tries those of all steps."""

LINES = README.read_text().partition(BEGIN)[2].partition(END)[0].splitlines()
ROWS = {int(line.split()[1]): [cell.strip() for cell in line.split("|")[1:-1]]
        for line in LINES if re.match(r"\| \d", line)}  # fmt: skip


@pytest.mark.parametrize("number", STEPS)
def test_every_wrong_solution_is_caught_by_name_and_every_right_one_passes(number):
    """And the README has the numbers, those of mutants by rule where they are few."""
    by_rule = number in BY_RULE
    (quality,) = measured([number], mutants=by_rule)
    assert quality.faults == []
    assert quality.wrong == quality.caught == quality.named >= 12
    _, *numbers = ROWS[number]
    assert list(quality.row)[1:4] == numbers[:3]
    if by_rule:
        assert list(quality.row)[1:] == numbers
    else:
        mutants = list(source_mutants(number))
        assert numbers[3] == str(sum(not mutant.why_equal for mutant in mutants))
        equal = sum(bool(mutant.why_equal) for mutant in mutants)
        assert numbers[6:] == [str(quality.right + equal), str(quality.passing + equal)]


def test_there_are_more_than_two_hundred_and_three_right_forms_of_each_step():
    assert len(MISTAKES) > 200
    assert len({(mistake.step, mistake.name) for mistake in MISTAKES}) == len(MISTAKES)
    assert all(sum(form.step == number for form in RIGHT_FORMS) >= 3 for number in STEPS)


def test_sources_are_what_they_say():
    """A fault of the catalogue by its id, a mutant by its kind, people by where it was seen."""
    faults = {fault.id for fault in CATALOGUE}
    for mistake in MISTAKES:
        match mistake.kind:
            case "catalogue":
                assert mistake.source in faults
            case "mutant":
                assert mistake.source in KINDS
            case "people":
                assert re.fullmatch(r"[\w.-]+/[\w.-]+(#\d+)?", mistake.source)
            case "slip":
                assert mistake.source == ""


def test_the_readme_sums_up_its_own_table():
    total = next(line for line in LINES if line.startswith("In all:"))
    sums = [sum(int(row[place]) for row in ROWS.values()) for place in range(1, 9)]
    wrong, _, named, mutants, caught, told, right, passing = sums
    assert f"In all: {wrong} wrong solutions" in total
    assert f"{named} caught by name; {mutants} mutants by rule, {caught} caught, {told} by" in total
    assert total.endswith(f"{right} right solutions in other forms, {passing} pass.")
    counts = [sum(mistake.kind == kind for mistake in MISTAKES) for kind in ("people", "slip")]
    assert "({} seen in public code or threads, {} slips".format(*counts) in total
    assert (wrong, named, caught) == (len(MISTAKES), len(MISTAKES), mutants)


def test_every_mutant_that_computes_the_same_is_still_there():
    lines = {(number, line.strip()) for number in STEPS for mutant in source_mutants(number)
             for line in mutant.text.splitlines()}  # fmt: skip
    assert EQUAL.keys() <= lines


def test_the_table_of_a_step_is_printed(capsys):
    assert main(["5"]) == 0
    shown = capsys.readouterr().out
    assert "step 5: 20 of 20 wrong solutions caught, 20 named" in shown


def test_a_section_is_replaced_between_its_markers():
    (quality,) = measured([12], mutants=False)
    text = updated(f"before {BEGIN} old {END} after", markdown([quality]))
    assert text.startswith("before")
    assert text.endswith("after")
    assert "old" not in text
    assert f"| 12 generation | {quality.wrong} |" in text
    assert summary([quality])[0] in summary([quality])
    with pytest.raises(ValueError, match="lacks the markers"):
        updated("nothing", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["15"], "there is no step 15"), (["3", "--update"], "--update is of all steps")],
)
def test_bad_usage_is_one_sentence(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
