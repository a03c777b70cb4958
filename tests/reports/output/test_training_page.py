"""The page of a verified fine-tuning: its curve, its tables, and what it says where one fails."""

import pytest

from reports.figures.several_runs.over_training import figures
from reports.history.compare import compare_page
from reports.output.render import render
from reports.output.summary import summary
from reports.pages.training_page import training_headline
from reports.saved.environment import collect
from reports.saved.records import RunWriter, read_run
from tests.conforming import record_misfits

PLACES = {"transformer.wte": 0.2, "transformer.h.0.mlp.act": 0.6, "transformer.h.1.ln_1": 0.3}


def checkpoint(step, **rest):
    return {
        "record": "checkpoint", "step": step, "name": f"checkpoint-{step}", "sha256": "ab" * 32,
        "verdict": "PASS", "first_divergence": None, "checks": 10, "passed": 10, "used": 0.6,
        "tap": "transformer.h.0.mlp.act", "case": "given-2x33", "median_used": 0.4,
        "free_used": 0.5, "math_used": 0.3, "kl_max": 1e-11, "places": PLACES, "bind_s": 0.004,
        "seconds": 9.0, "sample": {"prompt": "And", "text": " it <came>"}, "merged": None,
    } | rest  # fmt: skip


WRONG = {
    "verdict": "FAIL", "passed": 3, "used": float("inf"),
    "first_divergence": {"case": "given-2x33", "tap": "transformer.h.0.mlp.act",
                         "message": "h.0.mlp.act (isolated, given-2x33): NaN", "diagnosis": None,
                         "blame": None, "blamed_on": None},
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(*checkpoints, end=True):
        folder = tmp_path / "training"
        with RunWriter("training", command=["verify"], environment=collect(), out=folder) as run:
            for step in (0, 5, 10):
                point = {"step": step, "train_loss": None if not step else 3.0 - 0.1 * step,
                         "validation_loss": 3.5 - 0.1 * step, "former_loss": None}  # fmt: skip
                run.write({"record": "point", **point})
            for one in checkpoints:
                run.write(one)
            if end:
                verdicts = {one["verdict"] for one in checkpoints}
                run.finish({
                    "verdict": "FAIL" if "FAIL" in verdicts else "PASS", "line": "",
                    "checkpoints": len(checkpoints), "programs": 1,
                    "worst": {"step": 0, "tap": "transformer.h.0.mlp.act", "case": "given-2x33",
                              "used": checkpoints[0]["used"]},
                })  # fmt: skip
        return read_run(folder)

    return write


def test_both_curves_lie_over_the_same_steps(written):
    run = written(checkpoint(0), checkpoint(10, used=0.7))
    assert not record_misfits(run.folder)
    parity, losses = figures(run)
    assert [chart.title for chart in (parity, losses)] == [
        "Parity over training", "Loss over training"
    ]  # fmt: skip
    assert parity.x_ticks == losses.x_ticks
    dots = [mark for mark in parity.marks if "worst place, alone" in mark.tip]
    assert [mark.tip.splitlines()[0].rpartition(" ")[2] for mark in dots] == ["60%", "70%"]
    assert dots[0].attributes["cx"] < dots[1].attributes["cx"]
    assert dots[0].attributes["cy"] > dots[1].attributes["cy"]
    assert [text for _, text in losses.legend] == ["training", "held out"]  # none before


def test_a_checkpoint_that_fails_is_a_cross_and_comes_first(written):
    run = written(checkpoint(0), checkpoint(10, **WRONG))
    parity, _ = figures(run)
    assert [mark.css for mark in parity.marks].count("failed") == 1
    head = training_headline(run)
    assert head.verdict == "FAIL"
    assert head.title.startswith("checkpoint-10 ")
    assert "h.0.mlp.act (isolated, given-2x33): NaN" in head.lead
    page = next(path for path in render(run.folder) if path.name == "report.html").read_text()
    assert "FAIL" in page
    junit = (run.folder / "junit.xml").read_text()
    assert 'failures="1"' in junit


def test_samples_are_escaped_and_blocks_have_their_worst_place(written):
    run = written(checkpoint(0))
    render(run.folder)
    page = (run.folder / "report.html").read_text()
    assert "it &lt;came&gt;" in page
    text = summary(run)
    assert "| h.0 " in text
    assert "60%" in text


def test_two_runs_stand_beside_each_other_with_their_own_verdicts(written):
    run = written(checkpoint(0))
    page = compare_page(run, run)
    assert page.count("The same model after every checkpoint") == 2


def test_a_run_without_an_end_says_how_far_it_came(written):
    head = training_headline(written(checkpoint(0), end=False))
    assert (head.verdict, head.title) == ("INCOMPLETE", "Not finished")
    assert head.lead == "1 of the 1 judged until then passed."
