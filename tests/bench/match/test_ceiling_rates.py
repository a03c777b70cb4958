"""Each class is measured by what the machine can do in it."""

import pytest

from bench.arms.specs import spec_of
from bench.commands.ceilings import missing_lines
from bench.match.ceiling_rates import Ceilings, Kind, kinds_for


def measured(**rates):
    """Ceilings by `peak_bfloat16`-like names."""
    ceilings = Ceilings(None, "tiny", "cpu", 2)
    for name, rate in rates.items():
        ceiling, _, dtype = name.rpartition("_")
        ceilings.rates[Kind(ceiling, dtype)] = [rate]
    return ceilings


RATES = {
    "peak_float32": 2.0, "peak_bfloat16": 4.0, "peak_int8": 8.0, "gemm_float32": 1.0,
    "gemm_bfloat16": 3.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("arm", "rate"),
    [
        ("max", 2.0), ("llama.cpp", 2.0), ("max-bf16", 4.0), ("max-bf16-products", 4.0),
        ("max-bf16-cache", 4.0), ("torch-bf16", 4.0), ("llama.cpp-bf16", 4.0), ("max-int8", 4.0),
        ("ctranslate2-int8", 8.0), ("llama.cpp-q8_0", 8.0),
    ],
)  # fmt: skip
def test_an_arm_is_measured_by_the_units_of_what_it_may_multiply(arm, rate):
    assert measured(**RATES).arithmetic(spec_of(arm).judged_as) == rate


def test_float32_has_a_sixth_of_the_tiles_where_that_is_more():
    assert measured(**RATES, peak_by_six_float32=5.0).arithmetic("float32") == 5.0
    assert measured(**RATES, peak_by_six_float32=1.5).arithmetic("float32") == 2.0


def test_without_a_unit_for_8_bits_there_is_no_limit_for_what_multiplies_them():
    without = {name: rate for name, rate in RATES.items() if name != "peak_int8"}
    assert measured(**without).arithmetic("int8") is None
    assert measured(**without).arithmetic("int8 weights") == 4.0


@pytest.mark.parametrize("dtype", ["bfloat16-products", "bfloat16-cache"])
def test_products_in_bfloat16_read_the_weights_of_bfloat16(dtype):
    ceilings = measured(read_weights_bfloat16=7.0, read_float32=5.0)
    assert ceilings.bandwidth(dtype) == 7.0
    ceilings.beside["bfloat16"] = {3: 6.0}
    assert ceilings.quads(dtype) == {3: 6.0}
    assert ceilings.quads("float32") == {}


def test_what_is_measured_is_what_the_classes_of_a_run_need():
    def peaks(*dtypes):
        return [k.dtype for k in kinds_for(dtypes, [], "cpu") if k.ceiling == "peak"]

    assert peaks("float32") == ["float32"]
    assert peaks("float32", "bfloat16-products") == ["float32", "bfloat16"]
    assert peaks("float32", "int8") == ["float32", "bfloat16", "int8"]
    both = kinds_for(["bfloat16", "bfloat16-products"], [], "cpu")
    assert [k.dtype for k in both if k.ceiling in ("read_weights", "gemm")] == ["bfloat16"] * 2
    assert Kind("peak_by_six", "float32") in both
    assert not [k for k in kinds_for(["bfloat16"], [], "gpu") if k.ceiling.startswith("peak")]


def test_what_a_machine_lacks_is_kept_with_its_reason_and_said_once():
    class Worker:
        def ask(self, request):
            return {"rate": None, "what": "this CPU lists none"}

    kinds = [Kind("peak", "bfloat16"), Kind("peak_by_six", "float32")]
    ceilings = Ceilings(Worker(), "tiny", "cpu", 1, kinds)
    for _ in range(2):
        ceilings.measure(lambda _: None)
    assert ceilings.records() == []
    assert missing_lines([ceilings, ceilings]) == [
        "No peak in bfloat16: this CPU lists none",
        "No peak by six in float32: this CPU lists none",
    ]  # fmt: skip
