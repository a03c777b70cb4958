import pytest

from verify.fleet.node_check import description, difference, load


def test_a_machine_with_the_same_code_and_versions_differs_in_nothing():
    assert difference(description(), description()) == ""


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (("versions", "numpy"), "1.0", "it has numpy 1.0, and the driver"),
        (("versions", "max"), None, "it has no max, and the driver has"),
        (("code", "impl"), "0" * 64, "its code of impl/ is not the driver's"),
    ],
)
def test_what_a_node_would_compute_otherwise_with_is_said(place, value, why):
    other = description()
    other[place[0]][place[1]] = value
    assert why in difference(description(), other)


def test_another_cpu_is_no_reason_to_refuse_a_node():
    assert difference(description(), {**description(), "machine": "another"}) == ""


def test_the_load_is_a_share():
    assert 0 <= load() <= 1
