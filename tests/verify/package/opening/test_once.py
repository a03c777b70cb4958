"""Custom operations are checked against MAX's kernels once."""

import pytest
from max.graph import KernelLibrary

from verify.package.opening import once
from verify.package.opening.once import checked_once


class Operation:
    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


WRITTEN = '%{n} = "mo.custom"(%{n}) <{{parameters = {{window = {w} : index}}, symbol = "s"}}> : {t}'


def operation(n=1, window=-1, kind="(!mo.tensor<[rows, 16], f32>) -> ()"):
    return Operation(WRITTEN.format(n=n, w=window, t=kind))


@pytest.fixture
def asked(monkeypatch):
    """The operations that MAX is asked about."""
    seen = []
    monkeypatch.setattr(once, "_passed", set())
    monkeypatch.setattr(KernelLibrary, "verify_custom_op", lambda self, one: seen.append(str(one)))
    return seen


class Library:
    def library_paths(self):
        return []


def test_an_operation_is_asked_for_once_whatever_its_values_and_sizes(asked):
    with checked_once():
        for one in (
            operation(1),
            operation(2),
            operation(kind="(!mo.tensor<[rows, 32], f32>) -> ()"),
        ):
            KernelLibrary.verify_custom_op(Library(), one)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "other", [operation(window=5), operation(kind="(!mo.tensor<[rows, 16], bf16>) -> ()")]
)
def test_another_parameter_or_type_is_asked_for(asked, other):
    with checked_once():
        for one in (operation(), other):
            KernelLibrary.verify_custom_op(Library(), one)
    assert len(asked) == 2


def test_what_is_refused_is_refused_again(monkeypatch):
    def refuse(library, one):
        raise ValueError("no such kernel")

    monkeypatch.setattr(KernelLibrary, "verify_custom_op", refuse)
    with checked_once():
        for _ in range(2):
            with pytest.raises(ValueError, match="no such kernel"):
                KernelLibrary.verify_custom_op(Library(), operation())
    assert KernelLibrary.verify_custom_op is refuse
