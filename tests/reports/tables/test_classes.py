"""What is as exact is compared, and an error says of which dtype it is."""

import pytest

from reports.tables.classes import class_of, coarser, family_of, finer_lines


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16-products", "bfloat16"),
        ("bfloat16-cache", "bfloat16"), ("int8", "8 bits"), ("float64", "float64"),
    ],
)  # fmt: skip
def test_every_dtype_has_a_class(dtype, expected):
    assert class_of(dtype) == expected


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("max", "max"), ("max-bf16", "max"), ("max-bf16-products", "max"),
        ("max-bf16-cache", "max"), ("max-int8", "max"), ("max-stock", "max-stock"),
        ("torch-compile", "torch-compile"), ("torch-bf16", "torch"),
        ("llama.cpp-q8_0", "llama.cpp"), ("ctranslate2-int8", "ctranslate2"),
    ],
)  # fmt: skip
def test_an_arm_in_another_dtype_is_of_the_same_family(arm, expected):
    assert family_of(arm) == expected


@pytest.mark.parametrize(
    ("found", "allowed", "expected"),
    [
        ("bfloat16", "float32", True), ("float16", "float32", True), ("float32", "float32", False),
        ("float32", "bfloat16", False), ("bfloat16", "bfloat16 weights", False),
        ("int8", "bfloat16", True), ("", "int8", True), ("int8", "int8", False),
    ],
)  # fmt: skip
def test_an_error_is_coarser_than_what_is_allowed_or_not(found, allowed, expected):
    assert coarser(found, allowed) is expected


def row(arm, judged_as, error_class, relative=1e-6):
    return {
        "arm": arm, "judged_as": judged_as, "error_class": error_class, "error_relative": relative,
    }  # fmt: skip


def test_what_is_more_exact_than_its_class_is_said_once():
    rows = [row("openvino-bf16", "bfloat16", "float32"), row("openvino", "float32", "float32")]
    rows += [row("openvino-bf16", "bfloat16", "float32"), row("torch", "float32", None, None)]
    (line,) = finer_lines(rows)
    assert line.startswith("openvino-bf16: its error is float32's (1.00e-06 of the largest logit)")
    assert line.endswith("more exact than bfloat16 asks.")
    assert finer_lines([row("openvino", "float32", "bfloat16"), row("x", "int8", "")]) == []
    assert finer_lines([{"arm": "torch"}]) == []


def test_between_coarser_classes_there_is_nothing_to_say():
    assert finer_lines([row("max-int8", "int8 weights", "bfloat16", 1e-2)]) == []
    assert finer_lines([row("max-bf16", "bfloat16 weights", "float16", 2e-3)]) == []
    assert finer_lines([row("max-int8", "int8 weights", "float32")]) != []
