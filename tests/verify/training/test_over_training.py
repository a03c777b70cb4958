"""Every checkpoint is judged by itself, by one program, and a wrong one is named."""

import json
import shutil
from dataclasses import replace

import pytest

from impl.runtime import build
from reference.folders import write_checkpoint
from reference.load import TINY_FOLDER, load
from reports.output.publish import publish
from reports.output.render import render
from reports.saved.records import read_run
from tests.conforming import file_misfits, record_misfits


def judged(run):
    return read_run(run).of("checkpoint")


@pytest.mark.usefixtures("nothing_is_compiled")
class TestMathematics:
    def test_every_checkpoint_is_judged_in_the_order_of_its_steps(
        self, training, small_training, tmp_path, capsys
    ):
        assert training(small_training, "--quick", "--json", str(tmp_path / "out.json")) == 0
        found = judged(tmp_path / "run")
        assert [one["step"] for one in found] == [0, 2, 4]
        assert {one["verdict"] for one in found} == {"PASS"}
        assert all(0 < one["math_used"] < 1 and one["used"] is None for one in found)
        assert len({one["sha256"] for one in found}) == 3
        assert not record_misfits(tmp_path / "run")
        assert not file_misfits("training", tmp_path / "out.json")
        assert json.loads((tmp_path / "out.json").read_text())["programs"] == 0
        assert "Verdict: PASS" in capsys.readouterr().out

    def test_the_page_has_losses_samples_and_what_merging_changed(
        self, training, small_training, tmp_path
    ):
        training(small_training, "--quick")
        page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        told = json.loads((small_training / "training.json").read_text(encoding="utf-8"))
        for text in ("Loss over training", "merged, float64", "LoRA of rank 2", "What it writes"):
            assert text in page
        assert told["prompt"] in page
        assert "Parity over training" not in page  # nothing was compiled
        again = render(tmp_path / "run")
        assert (tmp_path / "run" / "report.html") in again
        made = {path.name for path in publish([tmp_path / "run"], tmp_path)}
        assert {"losses.svg", "checkpoints.csv", "losses.csv"} <= made

    def test_a_port_that_is_wrong_fails_at_every_checkpoint_and_is_diagnosed(
        self, training, small_training, tmp_path, monkeypatch, capsys
    ):
        def with_erf(config, device):
            return build(replace(config, activation_function="gelu"), device)

        monkeypatch.setattr("verify.training.one_program.build", with_erf)
        assert training(small_training, "--quick", "--steps", "0,4") == 1
        for one in judged(tmp_path / "run"):
            assert one["first_divergence"]["tap"] == "transformer.h.0.mlp.act"
            assert "erf" in one["first_divergence"]["diagnosis"]
        assert "checkpoint-0: FAIL" in capsys.readouterr().out
        page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        assert "checkpoint-0 is not proven the same model" in page

    def test_an_interrupted_run_keeps_what_was_judged(
        self, training, small_training, tmp_path, monkeypatch, capsys
    ):
        from verify.training import over_training

        judge = over_training.judge_checkpoint

        def interrupted(found, *rest, **options):
            if found.step:
                raise KeyboardInterrupt
            return judge(found, *rest, **options)

        monkeypatch.setattr(over_training, "judge_checkpoint", interrupted)
        assert training(small_training, "--quick") == 130
        assert [one["step"] for one in judged(tmp_path / "run")] == [0]
        assert "Not finished" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        assert "has what was judged" in capsys.readouterr().err


class TestRefused:
    @pytest.fixture
    def copied(self, small_training, tmp_path):
        return shutil.copytree(small_training, tmp_path / "copied")

    @pytest.fixture
    def refused(self, training, capsys):
        def refused(folder, *options):
            assert training(folder, "--quick", *options) == 2
            printed = capsys.readouterr()
            assert printed.err.count("\n") == 1
            return printed.err

        return refused

    def test_a_folder_without_checkpoints(self, refused, tmp_path):
        assert "has no checkpoints" in refused(tmp_path)
        assert "has no checkpoints" in refused(tmp_path / "nowhere")

    def test_a_step_that_was_not_kept(self, refused, small_training):
        assert "no checkpoint-3; it has those of 0, 2, 4" in refused(small_training, "--steps", "3")

    def test_weights_that_are_not_those_which_were_trained(self, refused, copied):
        shutil.copy(copied / "checkpoint-0/model.safetensors", copied / "checkpoint-4")
        assert "its weights changed" in refused(copied, "--steps", "4")

    def test_checkpoints_of_unlike_models(self, refused, copied):
        other = load("random:tiny")
        write_checkpoint(copied / "checkpoint-9", other.config, other.weights, TINY_FOLDER)
        assert "checkpoint-9 has another configuration than checkpoint-0" in refused(copied)

    def test_an_adapter_without_its_model(self, refused, copied):
        adapter = copied / "checkpoint-2" / "adapter"
        shutil.rmtree(copied / "checkpoint-4")
        shutil.copytree(adapter, copied / "checkpoint-4")
        assert "a LoRA adapter of peft, without the model" in refused(copied)

    def test_a_damaged_record(self, refused, copied):
        (copied / "training.json").write_text("{")
        assert "training.json is damaged" in refused(copied)


@pytest.mark.compiles
def test_all_checkpoints_are_bound_to_one_program(training, tiny_checkpoints, tmp_path):
    """The same program as that of `python -m verify`, which the cache has."""
    assert training(tiny_checkpoints, "--json", str(tmp_path / "out.json")) == 0
    out = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert out["programs"] == 1
    assert not file_misfits("training", tmp_path / "out.json")
    first, second = out["judged"]
    assert first["sha256"] != second["sha256"]
    for one in (first, second):
        assert one["verdict"] == "PASS"
        assert 0 < one["median_used"] < one["used"] < 1
        assert one["bind_s"] > 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Parity over training" in page
    assert "1 compiled program " in page
