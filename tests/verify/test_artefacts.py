"""What a report draws beside the checks is what the models computed, and stays small."""

import dataclasses

import numpy as np
import pytest

from impl.config import GPT2Config
from reference.checkpoint import Checkpoint
from reference.regimes import initial_weights, with_regime
from verify.artefacts import FILE, Artefacts
from verify.candidate.observation import Observation
from verify.checks.stages import array_check, check_case
from verify.truth.cases import random_cases
from verify.truth.references import References


@pytest.fixture(scope="module")
def looked(bound, cases):
    """The first case, looked at; its checks and what it was compared with."""
    case, expected = cases[0]
    checks = list(check_case(Observation(bound, expected), expected))
    artefacts = Artefacts()
    artefacts.look(Observation(bound, expected), expected, checks, tokens=True)
    return case, expected, checks, artefacts.arrays


@pytest.fixture(scope="module")
def inside(bound, references, cases):
    artefacts = Artefacts()
    artefacts.look_inside(bound, references, None, cases[0][0].ids, "cpu")
    return {path.removeprefix("cpu/inside/"): one for path, one in artefacts.arrays.items()}


@pytest.mark.compiles
def test_the_errors_of_a_places_tokens_make_up_its_share_of_the_allowed(looked):
    case, _, checks, arrays = looked
    taps = list(arrays[f"{case.name}/tokens/taps"])
    used = {check.tap: check.used for check in checks if check.mode == "isolated"}
    assert "transformer.h.0.mlp.act" in taps
    for tap, row in zip(taps, arrays[f"{case.name}/tokens/used"], strict=True):
        assert np.sqrt((row.astype(float) ** 2).mean()) == pytest.approx(used[tap], rel=1e-4)


@pytest.mark.compiles
def test_every_position_has_its_divergence_its_lead_and_its_error(looked):
    case, expected, checks, arrays = looked
    truth = expected.free["lm_head"]
    logits = next(check for check in checks if check.mode == "logits")
    plain = next(check for check in checks if check.mode == "plain")
    path = f"{case.name}/logits"
    assert arrays[f"{path}/kl_nats"].max() == pytest.approx(logits.details["kl_max"], rel=1e-6)
    assert arrays[f"{path}/error"].max() == pytest.approx(plain.max_abs, rel=1e-6)
    ordered = np.sort(truth, axis=-1)
    lead = (ordered[..., -1] - ordered[..., -2]).ravel()
    assert arrays[f"{path}/lead"] == pytest.approx(lead, rel=1e-6)
    assert int(arrays[f"{path}/flipped"].sum()) == logits.details["top1_flips"]


@pytest.mark.compiles
def test_attention_times_values_is_what_the_reference_goes_on_with(inside, references):
    config = references.checkpoint.config
    trace = references.torch.trace(inside["ids"][None])
    for layer in range(config.n_layer):
        fused = trace[f"transformer.h.{layer}.attn.c_attn"][0]
        value = fused[:, 2 * config.n_embd :].reshape(len(fused), config.n_head, -1)
        mixed = np.einsum("hqk,khf->qhf", inside["attention_torch"][layer], value)
        expected = trace[f"transformer.h.{layer}.attn.c_proj:input"][0]
        assert mixed.reshape(expected.shape) == pytest.approx(expected, abs=1e-5)


@pytest.mark.compiles
def test_both_models_look_alike_inside(inside):
    for name in ("attention", "residual", "top"):
        assert inside[f"{name}_candidate"] == pytest.approx(inside[f"{name}_torch"], abs=1e-4)
    assert inside["attention_candidate"].sum(axis=-1) == pytest.approx(1)
    assert len(inside["tokens"]) == len(inside["ids"]) == len(inside["top_ids"])
    assert int(inside["prompt"]) < len(inside["ids"])  # the rest is the reference's continuation


@pytest.mark.compiles
def test_the_window_of_a_failing_place_has_its_worst_element(bound, cases):
    case, expected = cases[0]
    tap = "transformer.h.0.mlp.act"
    wrong = expected.isolated | {tap: expected.isolated[tap].copy()}
    wrong[tap][1, 5, 7] += 1.0
    judged = type(expected)(
        **{name: getattr(expected, name) for name in expected.__dataclass_fields__}
        | {"isolated": wrong}
    )
    checks = list(check_case(Observation(bound, judged), judged))
    artefacts = Artefacts()
    artefacts.look(Observation(bound, judged), judged, checks)
    path = f"{case.name}/window/{tap}"
    assert artefacts.arrays[f"{path}/worst"].tolist() == [1, 5, 7]
    row, column = (np.array([5, 7]) - artefacts.arrays[f"{path}/first"]).tolist()
    candidate, oracle = (artefacts.arrays[f"{path}/{name}"] for name in ("candidate", "oracle"))
    assert oracle[row, column] - candidate[row, column] == pytest.approx(1.0, abs=1e-4)
    assert np.abs(candidate - oracle).argmax() == row * candidate.shape[1] + column


def test_the_file_holds_plain_arrays_and_no_tokens_of_other_failing_cases(tmp_path):
    arrays = {f"{case}/tokens/used": np.ones((1, 2)) for case in ("shown", "failing", "other")}
    arrays["cpu/inside/tokens"] = np.array([" a", "é"])
    Artefacts(arrays, {"shown"}).save(tmp_path, "failing")
    with np.load(tmp_path / FILE, allow_pickle=False) as saved:
        assert set(saved) == {"shown/tokens/used", "failing/tokens/used", "cpu/inside/tokens"}


def test_without_arrays_there_is_no_file(tmp_path):
    Artefacts().save(tmp_path)
    assert not list(tmp_path.iterdir())


# ---- nothing that only makes a picture ends a run ------------------------------------------------

WPE = "transformer.wpe"


@pytest.fixture(scope="module")
def small():
    config = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=1, n_head=4)
    start = Checkpoint(name="small", config=config, weights=initial_weights(config, seed=1))
    return with_regime(start, "perturbed", seed=1)


def expected_of(checkpoint, shape):
    """PyTorch in float32 and the oracle on one case, with no place given."""
    (case,) = random_cases(checkpoint.config, "given", [shape], seed=0, device="cpu")
    references = References(checkpoint)
    return references.expectation(case, references.oracle.output_taps())


def judged(found, expected):
    taps = [tap for tap in found if tap in expected.isolated]
    return [
        array_check(expected.case, "isolated", tap, found[tap], expected.at(tap, alone=True),
                    expected.dtype)
        for tap in taps
    ]  # fmt: skip


class Computed:
    """What a candidate computed, as an observation has it."""

    def __init__(self, forced, logits):
        self.forced, self.logits = forced, logits


def with_wrong_positions(expected):
    """PyTorch's own stages, but for positions, of which one row stands for the whole batch."""
    forced = dict(expected.torch_isolated)
    forced[WPE] = np.roll(forced[WPE], 1, axis=1)
    return Computed(forced, expected.torch_free["lm_head"])


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_wrong_positions_are_shared_out_over_every_row_of_a_batch(small, batch):
    expected = expected_of(small, (batch, 9))
    observed = with_wrong_positions(expected)
    checks = judged(observed.forced, expected)
    artefacts = Artefacts()
    artefacts.look(observed, expected, checks, tokens=True)
    assert artefacts.problems == []
    path = f"{expected.case.name}/tokens"
    taps = artefacts.arrays[f"{path}/taps"].tolist()
    row = artefacts.arrays[f"{path}/used"][taps.index(WPE)].reshape(batch, 9)
    assert (row == row[0]).all()
    (used,) = [check.used for check in checks if check.tap == WPE]
    assert used > 1
    assert np.sqrt((row.astype(float) ** 2).mean()) == pytest.approx(used, rel=1e-4)


def test_a_picture_that_cannot_be_kept_is_a_problem_and_the_others_are_kept(small):
    expected = expected_of(small, (2, 9))
    observed = with_wrong_positions(expected)
    checks = judged(observed.forced, expected)
    unlike = {**expected.torch_isolated, WPE: np.zeros(3)}  # the window shows PyTorch's too
    without = dataclasses.replace(expected, torch_isolated=unlike)
    artefacts = Artefacts()
    artefacts.look(observed, without, checks, tokens=True)
    (problem,) = artefacts.problems
    assert problem.part == f"around the worst element, {expected.case.name}"
    assert problem.error.startswith("IndexError: too many indices")
    assert problem.record()["record"] == "problem"
    assert any("/tokens/" in path for path in artefacts.arrays)
    assert any("/logits/" in path for path in artefacts.arrays)


def test_of_a_failing_place_the_case_of_most_tokens_is_kept_whole(small):
    artefacts = Artefacts()
    for shape in ((1, 9), (2, 9), (1, 3)):
        expected = expected_of(small, shape)
        observed = with_wrong_positions(expected)
        artefacts.look(observed, expected, judged(observed.forced, expected))
    owners = {path.partition("/whole/")[0] for path in artefacts.arrays if "/whole/" in path}
    assert owners == {"given-1x9"}  # positions have one row for the whole batch
    assert artefacts.arrays[f"given-1x9/whole/{WPE}/error"].shape == (9, 32)


def test_whole_tensors_of_other_places_than_the_first_divergence_are_not_written(tmp_path):
    arrays = {f"case/whole/{tap}/error": np.ones((2, 2)) for tap in ("first", "second")}
    Artefacts(arrays).save(tmp_path, "case", "first")
    with np.load(tmp_path / FILE, allow_pickle=False) as saved:
        assert set(saved) == {"case/whole/first/error"}


def test_a_model_that_cannot_be_looked_into_is_a_problem(small):
    class Refusing:
        def trace(self, ids):
            raise ValueError("no place is shown")

    artefacts = Artefacts()
    references, ids = References(small), np.zeros((1, 3), np.int64)
    artefacts.look_inside(Refusing(), references, None, ids, "cpu")
    assert [(p.part, p.error) for p in artefacts.problems] == [
        ("inside the model, cpu", "ValueError: no place is shown")
    ]


def test_arrays_that_cannot_be_written_are_a_problem(tmp_path):
    artefacts = Artefacts({"cpu/inside/ids": np.zeros(3)})
    artefacts.save(tmp_path / "nowhere")
    (problem,) = artefacts.problems
    assert problem.part == FILE
    assert problem.error.startswith("FileNotFoundError")
