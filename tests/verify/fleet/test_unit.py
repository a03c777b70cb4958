import pytest

from verify.fleet.unit import Done, FleetError, Spread, Unit, do
from verify.fleet.units_run import run_units

HERE = "tests.verify.fleet.quick_units"


def unit(n, function="square"):
    return Unit(f"unit {n}", f"{HERE}:{function}", {"n": n})


def test_a_unit_gives_the_records_of_its_function():
    done = do(unit(3), "here", "a CPU")
    assert done.records == ({"record": "square", "n": 3, "square": 9},)
    assert (done.node, done.machine, done.error) == ("here", "a CPU", None)


def test_what_a_function_raises_is_a_sentence_and_ends_no_other_unit():
    units = [unit(0), Unit("broken", f"{HERE}:broken"), unit(1)]
    found = list(run_units(units))
    assert [done.error for done in found] == [None, "ArithmeticError: out of numbers", None]
    assert found[1].records == ()


def test_a_function_that_is_not_there_is_a_sentence():
    assert "no_such_module" in str(do(Unit("x", "no_such_module:f"), "here", "").error)


def test_units_are_done_in_order_here_and_keep_what_a_process_keeps():
    units = [Unit(str(n), f"{HERE}:kept") for n in range(3)]
    found = list(run_units(units, Spread()))
    assert [done.key for done in found] == ["0", "1", "2"]
    assert len({done.records[0]["process"] for done in found}) == 1


def test_two_units_of_one_key_are_refused():
    with pytest.raises(FleetError, match="the same key"):
        list(run_units([unit(1), unit(1)]))


def test_what_is_written_is_read_back():
    done = do(unit(3), "here", "a CPU")
    again = Done.read(done.record())
    assert (again.key, again.sha256, again.records) == (done.key, done.sha256, done.records)


def test_other_arguments_are_another_unit():
    assert unit(1).sha256 == Unit("another key", f"{HERE}:square", {"n": 1}).sha256
    assert unit(1).sha256 != unit(2).sha256
    assert unit(1).sha256 != unit(1, function="broken").sha256
