"""While a package for an older MAX is read, what MAX does not have can be imported; not after."""

import sys

import max.driver
import pytest
from max.pipelines.lib import SupportedArchitecture, SupportedEncoding
from max.pipelines.modeling.types import PipelineTask

from verify.package.installed.moved import Missing, release
from verify.package.installed.older import stand_in, standing_in

MISSING = [
    Missing("a.py", 1, "max.driver", "Tensor", ""),
    Missing("a.py", 2, "max.interfaces", "PipelineTask", ""),
    Missing("a.py", 3, "max.pipelines.lib", "SupportedEncoding.float32", ""),
]


def test_a_name_that_lives_elsewhere_is_that_one():
    with standing_in(MISSING):
        assert sys.modules["max.interfaces"].PipelineTask is PipelineTask


def test_a_name_that_is_gone_is_a_stand_in_and_an_attribute_too():
    with standing_in(MISSING):
        assert isinstance(max.driver.Tensor.from_numpy, type)
        assert isinstance(sys.modules["max.pipelines.lib"].SupportedEncoding.float32, type)


def test_afterwards_max_is_what_it_was():
    before = SupportedArchitecture.__init__
    with pytest.raises(ZeroDivisionError), standing_in(MISSING):
        1 / 0  # noqa: B018
    assert SupportedArchitecture.__init__ is before
    assert "max.interfaces" not in sys.modules
    assert not hasattr(max.driver, "Tensor")
    assert sys.modules["max.pipelines.lib"].SupportedEncoding is SupportedEncoding


def test_what_a_declaration_gives_that_does_not_fit_is_noted():
    with standing_in(MISSING) as complaints:
        made = SupportedArchitecture(name="A", rope_type="normal")
    assert made.name == "A"
    assert (
        f"SupportedArchitecture takes no `rope_type` in MAX {release()}: leave it out" in complaints
    )
    assert f"SupportedArchitecture needs `config` in MAX {release()}" in complaints


def test_a_stand_in_can_be_called_subscripted_subclassed_and_put_before_a_function():
    made = stand_in("Thing")

    class Below(made[int]):
        pass

    assert made.any_choice
    assert made(1, two=2)(len) is len
    assert Below.__mro__[1] is made
