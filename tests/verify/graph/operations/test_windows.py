import pytest

from tests.verify.graph.families.comparing import assert_compiled, assert_meant, cases, compiled
from tests.verify.graph.families.windows import FAMILIES


@cases(FAMILIES)
def test_in_float64_it_is_what_pytorch_computes(staged, family, index):
    assert_meant(staged, family, index)


@pytest.mark.compiles
@compiled(FAMILIES)
def test_max_compiles_it_to_the_same(staged, run_compiled, family):
    assert_compiled(staged, run_compiled, family)
