"""The first line says what was measured, in words that hold, or why nothing can be said."""

import pytest

from reports.tables.paired import standings
from reports.tables.speed_sentence import answers, title
from tests.reports.beside import pair, prompt, row, run


def test_the_only_rival_is_named():
    (text,) = answers(run(torch=2.0))
    assert text == "Decode after 32 tokens: MAX is 2 [1.818, 2.2] times as fast as PyTorch."
    assert title(run(torch=2.0)) == "MAX is faster than PyTorch"


def test_of_several_the_fastest_is_the_next():
    records = run(torch=2.0, ctranslate2=1.3, openvino=1.6)
    (text,) = answers(records)
    assert text.endswith("MAX is 1.300 [1.182, 1.430] times as fast as the next (CTranslate2).")
    assert title(records) == "MAX is the fastest"


def test_where_others_are_faster_it_says_how_much_longer_and_how_many_they_are():
    (text,) = answers(run(torch=2.0, onnxruntime=0.8, openvino=0.5))
    assert "MAX takes 2 [1.818, 2.2] times as long as the fastest (OpenVINO; 2 of 3" in text
    assert title(run(torch=2.0, onnxruntime=0.8)) == "MAX is slower than another arm"


def test_an_arm_that_is_surely_faster_goes_before_one_that_may_be():
    records = run(openvino=0.88, onnxruntime=0.8)
    records[-1] |= {"verdict": "INCONCLUSIVE"}
    (text,) = answers(records)
    assert "times as long as OpenVINO." in text, "ONNX Runtime may be faster still"
    assert "Not conclusive: MAX beside ONNX Runtime (tg16 @ d32)." in text


def test_decode_comes_before_prompts_and_each_has_its_figure():
    records = [*run(prompt(128), torch=1.5), *run(prompt(32), torch=0.7), *run(torch=3.0)]
    (text,) = answers(records)
    assert text.startswith("Decode after 32 tokens: MAX is 3 [")
    assert "; prompts of 128 tokens: 1.500 [1.364, 1.650] times as fast as PyTorch" in text
    assert "; prompts of 32 tokens: takes 1.429 [1.299, 1.571] times as long as PyTorch" in text
    assert title(records) == "MAX is faster than PyTorch in 2 of 3 workloads, slower in 1"


def test_two_of_a_kind_are_listed_and_of_more_the_least_and_the_most():
    two = [*run(prompt(32), torch=1.5), *run(prompt(64), torch=2.5)]
    (text,) = answers(two)
    assert text.startswith("Prompts of 32 and 64 tokens: MAX is 1.500 [1.364, 1.650] and 2.5 [")
    many = [r for n, size in enumerate((8, 16, 32, 64)) for r in run(prompt(size), torch=1.5 + n)]
    (text,) = answers(many)
    assert text.startswith("4 workloads (pp8, pp16, pp32, pp64): MAX is 1.500 [1.364, 1.650] to ")
    assert "4.5 [4.09, 4.95] times as fast as PyTorch." in text


def test_rows_at_once_are_said():
    (text,) = answers(run(prompt(32, batch=4), torch=1.5))
    assert text.startswith("Prompts of 32 tokens, 4 rows at once: MAX is")


def test_what_is_the_same_is_within_the_margin():
    records = run(torch=1.002)
    records[-1] |= {"verdict": "SAME", "ci_lo": 0.998, "ci_hi": 1.006}
    (text,) = answers(records)
    assert "MAX is as fast as PyTorch, within 1%: 1.002 [0.998, 1.006]." in text
    assert title(records) == "MAX is as fast as PyTorch"


def test_what_is_open_is_no_claim():
    (text,) = answers(run(torch=1.05))
    assert text.endswith("times as fast as PyTorch, which is not conclusive.")
    assert title(run(torch=1.05)) == "No clear verdict on MAX, in 1 workload"


def test_without_an_interval_there_is_no_verdict_and_it_says_why():
    records = [row("max"), row("torch"), pair("torch", 2.0, "INCONCLUSIVE", spread=None)]
    (text,) = answers(records)
    assert "MAX is 2 times as fast as PyTorch." in text
    assert text.endswith(
        "There are no intervals, and so no verdicts (one process of each arm)."
    )  # fmt: skip
    assert "faster" not in title(records)


def test_an_invalid_max_has_no_speed_and_no_title_that_flatters():
    why = "these weights were never verified: run `python -m verify` first"
    records = [row("max", status="INVALID", reason=why), row("torch"), row("openvino")]
    (text,) = answers(records)
    assert text == f"MAX has no speed here (INVALID: {why})."
    assert title(records) == "MAX has no speed that counts"


def test_a_workload_in_which_max_is_invalid_is_named_beside_the_others():
    wrong = [row("max", prompt(32), "INVALID", "off by 3"), row("torch", prompt(32))]
    (text,) = answers([*run(torch=2.0), *wrong])
    assert "times as fast as PyTorch. MAX has no speed in pp32 (INVALID: off by 3)." in text


@pytest.mark.parametrize("status", ["SKIP", "INVALID", "ERROR"])
def test_a_rival_without_a_speed_is_not_passed_over(status):
    rival = row("openvino", status=status, reason="why")
    (text,) = answers([*run(torch=2.0), rival])
    assert text.endswith(f"Not compared: OpenVINO ({status}).")
    assert title([*run(torch=2.0), rival]) == "MAX is faster than PyTorch"
    assert title([*run(torch=2.0, onnxruntime=3.0), rival]).endswith("fastest of those compared")


def test_alone_there_is_nothing_to_be_faster_than():
    records = [row("max"), row("max#2")]
    assert answers(records) == ["No other arm took part beside MAX."]
    assert title(records) == ""


def test_without_rows_there_is_no_sentence():
    assert answers([]) == [] == standings([])
    skip = {"record": "row", "workload": None, "arm": "max", "device": "gpu", "status": "SKIP"}
    assert answers([skip]) == []


def test_maxs_other_arms_are_rivals_only_where_there_is_no_other():
    (text,) = answers(run(torch=2.0, **{"max-int8": 0.8}))
    assert "MAX is 2 [" in text
    (text,) = answers(run(**{"max-int8": 0.8}))
    assert "as long as MAX with int8 weights" in text


def test_each_competition_has_a_sentence_that_says_which_it_is():
    def elsewhere(**place):
        return [record | place for record in run(torch=2.0)]

    one, two = answers([*run(torch=3.0), *elsewhere(threads=1)])
    assert one.startswith("With 2 threads: Decode after 32 tokens: MAX is 3 [")
    assert two.startswith("With 1 thread: Decode after 32 tokens: MAX is 2 [")
    _, two = answers([*run(torch=3.0), *elsewhere(device="gpu")])
    assert two.startswith("On gpu: ")
    _, two = answers([*run(torch=3.0), *elsewhere(model="random:gpt2", threads=1)])
    assert two.startswith("random:gpt2, with 1 thread: ")


def test_like_is_compared_with_like_where_max_has_the_dtype():
    coarse = {"dtype": "bfloat16"}
    records = [
        *run(torch=2.0),
        row("max-bf16", **coarse), row("torch-bf16", **coarse),
        pair("max-bf16", 0.7, "FASTER"), pair("torch-bf16", 1.2, "SLOWER"),
        pair("torch-bf16", 1.7, "SLOWER", versus="max-bf16"),
    ]  # fmt: skip
    one, two = answers(records)
    assert one == "Decode after 32 tokens: MAX is 2 [1.818, 2.2] times as fast as PyTorch."
    assert two.startswith("In bfloat16: Decode after 32 tokens: MAX in bfloat16 is 1.700 [")


BF16 = {"dtype": "bfloat16"}


def in_bfloat16():
    """MAX's two engines in bfloat16, and PyTorch, each pair with its ratio."""
    return [
        *run(torch=2.0),
        row("max-bf16", **BF16), row("max-bf16-products", dtype="bfloat16-products"),
        row("torch-bf16", **BF16),
        pair("max-bf16", 0.7, "FASTER"), pair("max-bf16-products", 0.5, "FASTER"),
        pair("torch-bf16", 0.6, "FASTER"),
        pair("torch-bf16", 0.8, "FASTER", versus="max-bf16"),
        pair("torch-bf16", 1.2, "SLOWER", versus="max-bf16-products"),
    ]  # fmt: skip


def test_each_engine_of_a_class_has_its_own_answer_and_none_is_mixed_of_both():
    one, two, three = answers(in_bfloat16())
    assert "MAX is 2 [" in one
    assert "bfloat16" not in one, "a faster arm of another class is no rival"
    assert two.startswith("In bfloat16: Decode after 32 tokens: MAX in bfloat16 takes 1.250 [")
    assert three.startswith(
        "In bfloat16: Decode after 32 tokens: MAX with products in bfloat16 is 1.200 ["
    )
    assert title(in_bfloat16()) == "MAX is faster than PyTorch"


def test_an_engine_that_has_no_speed_is_said_in_its_class():
    why = "these weights were never verified"
    records = [*run(torch=2.0), row("max-int8", status="INVALID", reason=why, dtype="int8")]
    records += [row("ctranslate2-int8", dtype="int8"), pair("ctranslate2-int8", 0.6, "FASTER")]
    one, two = answers(records)
    assert "as PyTorch" in one
    assert "CTranslate2" not in one
    assert two == f"In 8 bits: MAX with int8 weights has no speed here (INVALID: {why})."


def test_a_class_without_an_arm_of_maxs_is_named_and_not_compared():
    records = [*run(torch=2.0), row("torch-bf16", **BF16), pair("torch-bf16", 0.6, "FASTER")]
    (text,) = answers(records)
    assert "MAX is 2 [1.818, 2.2] times as fast as PyTorch." in text
    assert text.endswith("In bfloat16 no arm of MAX's took part beside PyTorch in bfloat16.")


def test_where_nothing_is_as_exact_the_others_are_all_there_is():
    records = [row("max"), row("torch-bf16", **BF16), pair("torch-bf16", 0.6, "FASTER")]
    (text,) = answers(records)
    assert "MAX takes 1.667 [1.515, 1.833] times as long as PyTorch in bfloat16." in text


def test_a_float32_row_that_is_none_is_not_compared():
    why = "its error is bfloat16's (6.3e-03 of the largest logit), and not float32's"
    records = [*run(torch=2.0), row("openvino", status="INVALID", reason=why)]
    assert answers(records)[0].endswith("Not compared: OpenVINO (INVALID).")


def test_without_max_it_is_about_the_baseline():
    records = [row("torch"), row("openvino"), pair("openvino", 0.5, "FASTER", versus="torch")]
    (text,) = answers(records)
    assert "PyTorch takes 2 [1.818, 2.2] times as long as OpenVINO." in text
