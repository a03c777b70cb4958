"""Figures of a benchmark: exactness beside speed, token by token, starts and copies."""

import pytest

from reports.figures.arms.exactness import LETTER, exactness
from reports.figures.arms.starts import host_copies, start_chart, starts
from reports.figures.arms.token_latency import by_position, distribution
from reports.figures.bars import phases
from reports.figures.chart import WIDE
from reports.saved.records import read_run
from tests.reports.beside import DECODE, prompt, row

PLACE = {"model": "tiny", "device": "cpu", "threads": 2}
MIB = 2**20


@pytest.fixture
def run_of(make_run):
    """A run of these records, read again."""
    return lambda *records: read_run(make_run("bench", records, {"rows": 1}))


def circles(chart):
    return [mark for mark in chart.marks if mark.tag == "circle"]


def test_a_bubble_for_each_arm_and_dtype_is_as_large_as_its_weights(run_of):
    run = run_of(
        row("max", prompt(8), tok_s=100, error_logits=1e-6, weight_bytes=4 * MIB),
        row("max-bf16", prompt(8), tok_s=200, error_logits=1e-2, weight_bytes=MIB,
            dtype="bfloat16", judged_as="bfloat16 weights"),
    )  # fmt: skip
    (variant,) = exactness(run)
    fine, coarse = circles(variant.figure)
    assert fine.attributes["r"] == pytest.approx(2 * coarse.attributes["r"], abs=0.2)
    assert fine.attributes["cx"] < coarse.attributes["cx"]
    assert fine.attributes["cy"] > coarse.attributes["cy"], "what is more exact is lower"
    assert "max-bf16 (bfloat16 weights)" in coarse.tip
    assert "largest difference 1.00e-06 logits" in fine.tip


def test_where_every_arm_was_held_to_the_same_weights_that_is_the_height(run_of):
    """Not what each was judged by: MAX in 8 bits is held to its own weights, its peers are not."""
    run = run_of(
        row("max-int8", prompt(8), tok_s=100, error_logits=1e-5, error_relative=2e-2),
        row("ctranslate2-int8", prompt(8), tok_s=200, error_logits=0.3, error_relative=1e-2),
        row("torch", prompt(8), tok_s=50, error_logits=0.0, error_relative=0.0),
    )
    (variant,) = exactness(run)
    height = {one.tip.split()[0]: one.attributes["cy"] for one in circles(variant.figure)}
    assert height["max-int8"] < height["ctranslate2-int8"] < height["torch"]
    assert "2.00e-02 of the largest logit" in circles(variant.figure)[0].tip
    assert variant.figure.y_title == "largest difference, over the largest logit (logarithmic)"


def test_what_does_not_differ_at_all_lies_on_a_line_of_its_own(run_of):
    run = run_of(
        row("torch", prompt(8), tok_s=100, error_logits=0.0, weight_bytes=MIB),
        row("max", prompt(8), tok_s=200, error_logits=1e-6, weight_bytes=MIB),
    )
    (variant,) = exactness(run)
    same, near = sorted(circles(variant.figure), key=lambda one: -one.attributes["cy"])
    assert "none: the same to the bit" in same.tip
    assert same.attributes["cy"] > near.attributes["cy"]
    assert (same.attributes["cy"], "0") in variant.figure.y_ticks


def test_the_error_of_logits_counts_in_decode_too_where_a_forward_pass_was_timed(run_of):
    run = run_of(
        row("max", prompt(8), tok_s=100, error_logits=2e-6, weight_bytes=MIB),
        row("max", DECODE, tok_s=50, error_logits=0.0, weight_bytes=MIB),
    )
    tips = [circles(variant.figure)[0].tip for variant in exactness(run)]
    assert all("2.00e-06" in tip for tip in tips)
    (alone,) = exactness(run_of(row("max", DECODE, tok_s=50, error_logits=0.0)))
    assert "every choice is PyTorch's" in alone.figure.aid


def test_in_older_records_the_error_is_that_of_the_agreements(run_of):
    agreed = {"record": "agreement", **PLACE, "arm": "max", "workload": "pp8", "block": 0,
              "agreed": True, "allowed": 1e-3, "message": ""}  # fmt: skip
    run = run_of(
        row("max", prompt(8), tok_s=100, weight_bytes=MIB),
        agreed | {"difference": 1e-6}, agreed | {"difference": 3e-6},
    )  # fmt: skip
    (variant,) = exactness(run)
    assert "3.00e-06" in circles(variant.figure)[0].tip


def test_rows_that_are_not_valid_have_no_bubble(run_of):
    bad = row("max", prompt(8), "INVALID", "off", tok_s=None, error_logits=5.0)
    assert exactness(run_of(bad)) == []


def test_names_of_bubbles_do_not_cover_each_other(run_of):
    arms = ["onnxruntime", "ctranslate2", "openvino", "max"]
    run = run_of(*(row(arm, prompt(8), tok_s=1000 + n, error_logits=1e-6, weight_bytes=MIB)
                   for n, arm in enumerate(arms)))  # fmt: skip
    (variant,) = exactness(run)
    places = [(m.attributes["x"], m.attributes["y"]) for m in variant.figure.marks if m.text]
    assert len(places) == len(set(places)) == 4


def test_the_name_of_the_fastest_stays_within_the_chart(run_of):
    arms = {"max-bf16-products": 1300, "llama.cpp-bf16": 500}
    run = run_of(*(row(arm, prompt(8), tok_s=speed, error_logits=1e-2, weight_bytes=MIB,
                       judged_as="bfloat16") for arm, speed in arms.items()))  # fmt: skip
    (variant,) = exactness(run)
    for mark in variant.figure.marks:
        if mark.text:
            assert 0 <= mark.attributes["x"] <= WIDE - LETTER * len(mark.text)


def sample(arm, steps_ms, work="tg4 @ d8"):
    return {"record": "sample", **PLACE, "arm": arm, "workload": work,
            "steps_ns": [int(1e6 * ms) for ms in steps_ms]}  # fmt: skip


def test_each_position_has_the_median_of_all_calls(run_of):
    calls = [sample("max", (5.0, 1.0, 2.0, 3.0)), sample("max", (7.0, 1.0, 2.0, 3.0)),
             sample("max", (6.0, 1.0, 2.0, 99.0))]  # fmt: skip
    (variant,) = by_position(run_of(*calls, sample("torch#2", (1.0, 1.0, 1.0, 1.0))))
    tips = [mark.tip for mark in circles(variant.figure)]
    assert [tip.split(" ms")[0] for tip in tips] == [
        f"max, new token {n + 1}: {median}" for n, median in enumerate(("6", "1.000", "2", "3"))
    ]
    assert [text for _, text in variant.figure.legend] == ["max"]


def test_the_distribution_has_its_median_and_its_tail(run_of):
    calls = [sample("max", [1.0] * 99 + [50.0], "tg100 @ d8")]
    (variant,) = distribution(run_of(*calls))
    half, most, tail = [mark.tip for mark in circles(variant.figure)]
    assert half == "max: 50% of 100 steps took at most 1.000 ms"
    assert most.startswith("max: 90% of 100 steps took at most 1.000")
    assert tail.startswith("max: 99% of 100 steps took at most 1.490")


def test_without_decode_there_is_no_token_figure(run_of):
    run = run_of({"record": "sample", **PLACE, "arm": "max", "workload": "pp8", "time_ns": 1})
    assert by_position(run) == distribution(run) == []


def phase(arm, name, seconds, generation=0, **rest):
    return {"record": "phase", **PLACE, "arm": arm, "workload": None, "phase": name,
            "seconds": seconds, "generation": generation, "cache": None, **rest}  # fmt: skip


WARM = [
    phase("max", "import", 1.0), phase("max", "load", 0.5),
    phase("max", "compile", 2.0, cache="warm"),
    phase("max", "first_call", 0.1, workload="pp8"),
    phase("max", "first_call", 9.0, workload="pp9"),
    phase("max", "host_copy", 1e-5, workload="pp8"),
]  # fmt: skip
COLD = [
    phase("max", "import", 1.5, None), phase("max", "load", 0.5, None),
    phase("max", "compile", 60.0, None, cache="cold"),
    phase("max", "first_call", 0.4, None, workload="pp8"),
]  # fmt: skip


def test_a_start_goes_to_the_first_result_and_no_further(run_of):
    cold, warm = starts(run_of(*WARM, *COLD))
    assert (cold.cold, cold.seconds["compile"], cold.missing) == (True, 60.0, [])
    assert warm.seconds == {"import": 1.0, "load": 0.5, "compile": 2.0, "first_call": 0.1}
    chart = start_chart(run_of(*WARM, *COLD))
    assert {"1.04 min", "3.6 s"} <= {mark.text for mark in chart.marks}


def test_what_was_not_measured_of_a_start_is_said(run_of):
    cold, _ = starts(run_of(*WARM))
    assert cold.seconds == {}
    assert "Not measured with empty caches (--cold does it): max." in start_chart(run_of(*WARM)).aid
    texts = [mark.text for mark in start_chart(run_of(*WARM, *COLD[:3])).marks]
    assert "1.03 min; not measured: first call" in texts


def test_a_first_process_whose_cache_was_empty_is_a_cold_start(run_of):
    first = [p | {"cache": "cold"} if p["phase"] == "compile" else p for p in WARM]
    later = [p | {"generation": 1, "seconds": p["seconds"] / 2} for p in WARM]
    cold, warm = starts(run_of(*first, *later))
    assert (cold.seconds["compile"], warm.seconds["compile"]) == (2.0, 1.0)


def test_what_compiles_nothing_starts_in_one_way(run_of):
    (start,) = starts(run_of(phase("torch", "import", 3.0), phase("torch", "compile", None)))
    assert (start.cold, start.missing) == (None, ["load", "first_call"])


def test_copies_stand_apart_from_phases_with_their_share_of_a_call(run_of):
    rows = [row("max", prompt(8), host_copy_s=1e-3), row("torch", prompt(8), host_copy_s=2e-3)]
    run = run_of(*rows, *WARM)
    (copies,) = host_copies(run)
    assert [bar.text for bar in copies.bars] == ["1 ms", "2 ms"]
    assert copies.cells == ["10% of a call", "20% of a call"]
    assert not any("host_copy" in one.name for one in phases(run))


def test_the_process_with_empty_caches_is_apart_from_the_others(run_of):
    names = [one.name for one in phases(run_of(*WARM, *COLD))]
    assert "import" in names
    assert "import (empty caches)" in names
