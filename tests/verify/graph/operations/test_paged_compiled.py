"""The operations of test_paged.py, beside what MAX compiles of them: one program, minutes cold."""

import pytest

from tests.verify.graph.conftest import compile_all, stage_all
from tests.verify.graph.families.comparing import assert_compiled, compiled
from tests.verify.graph.families.paged import FAMILIES

pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def paged():
    return stage_all(FAMILIES)


@pytest.fixture(scope="module")
def run_paged(paged):
    return compile_all(paged)


@compiled(FAMILIES)
def test_max_compiles_it_to_the_same(paged, run_paged, family):
    assert_compiled(paged, run_paged, family)
