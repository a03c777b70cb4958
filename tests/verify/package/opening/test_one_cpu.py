"""Packages that are written for accelerators, on a CPU."""

import pytest
from max.dtype import DType
from max.graph import DeviceRef
from max.nn.comm import Allreduce, Signals

from verify.package.opening.one_cpu import REPLACED, SIGNAL_BYTES, on_one_cpu


@pytest.mark.parametrize(("owner", "name"), [entry[:2] for entry in REPLACED], ids=str)
def test_max_has_what_is_replaced(owner, name):
    assert hasattr(owner, name)


def test_what_is_replaced_is_put_back():
    before = [vars(owner)[name] for owner, name, _ in REPLACED]
    with on_one_cpu():
        assert all(
            vars(owner)[name] is not each
            for (owner, name, _), each in zip(REPLACED, before, strict=True)
        )
    assert [vars(owner)[name] for owner, name, _ in REPLACED] == before


def test_a_sum_over_accelerators_finds_one():
    with on_one_cpu():
        assert len(Allreduce(1).devices) == 1


def test_signals_are_small_and_lie_on_the_cpu():
    with on_one_cpu():
        (declared,) = Signals([DeviceRef.CPU()]).input_types()
        (held,) = Signals.allocate([None])
    assert (declared.dtype, declared.shape) == (DType.uint8, [SIGNAL_BYTES])
    assert (held.dtype, held.shape) == (DType.uint8, (SIGNAL_BYTES,))
