import numpy as np

from tests.verify.explain.helpers import failures
from verify.explain import collected
from verify.explain.collected import Collected
from verify.faults.catalogue import catalogue
from verify.judge.finite import is_finite

ERF = next(fault for fault in catalogue("float32") if fault.id == "gelu_erf")


def kept(expectations, **more):
    """The failing stages of every case, collected one case after another."""
    found = Collected(**more)
    for expected in expectations:
        failed = failures([expected], [(ERF, 0)])
        trace = {one.tap: one.found for one in failed}
        found.add(list(trace), trace, expected, list(expected.isolated))
    return found


def test_failing_stages_of_several_cases_have_one_explanation(expectations):
    findings, listing = kept(expectations).explained()
    assert [finding.ids for finding in findings] == [("gelu_erf",)]
    assert listing is None  # nobody gave a graph


def test_nothing_fails_nothing_is_explained():
    assert Collected().explained() == ([], None)


def test_cases_that_take_too_much_memory_are_counted_alone(expectations, monkeypatch):
    monkeypatch.setattr(collected, "MOST_BYTES", 1)
    found = kept(expectations)
    (finding,), _ = found.explained()
    assert len(found.failures) + found.further == finding.of
    assert finding.stages == len(found.failures) < finding.of


def test_the_most_telling_failure_of_the_first_place_is_known(expectations):
    first = kept(expectations).of_first_place()
    assert first.tap == "transformer.h.0.mlp.act"
    assert first.expected.case.ids.shape == (2, 33)
    assert Collected().of_first_place() is None


def test_integers_are_finite_and_narrow_numbers_are_looked_at():
    assert is_finite(np.arange(3))
    assert not is_finite(np.array([1, np.inf], np.float16))
