"""Attention, rotation, norms and projections over a paged cache, beside PyTorch."""

import pytest

from tests.verify.graph.conftest import stage_all
from tests.verify.graph.families.comparing import assert_meant, cases
from tests.verify.graph.families.paged import FAMILIES


@pytest.fixture(scope="module")
def paged():
    return stage_all(FAMILIES)


@cases(FAMILIES)
def test_in_float64_it_is_what_pytorch_computes(paged, family, index):
    assert_meant(paged, family, index)
