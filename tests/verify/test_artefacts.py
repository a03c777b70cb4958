"""What a report draws beside the checks is what the models computed, and stays small."""

import numpy as np
import pytest

from verify.artefacts import FILE, Artefacts
from verify.candidate.observation import Observation
from verify.checks.stages import check_case

pytestmark = pytest.mark.compiles


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


def test_the_errors_of_a_places_tokens_make_up_its_share_of_the_allowed(looked):
    case, _, checks, arrays = looked
    taps = list(arrays[f"{case.name}/tokens/taps"])
    used = {check.tap: check.used for check in checks if check.mode == "isolated"}
    assert "transformer.h.0.mlp.act" in taps
    for tap, row in zip(taps, arrays[f"{case.name}/tokens/used"], strict=True):
        assert np.sqrt((row.astype(float) ** 2).mean()) == pytest.approx(used[tap], rel=1e-4)


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


def test_attention_times_values_is_what_the_reference_goes_on_with(inside, references):
    config = references.checkpoint.config
    trace = references.torch.trace(inside["ids"][None])
    for layer in range(config.n_layer):
        fused = trace[f"transformer.h.{layer}.attn.c_attn"][0]
        value = fused[:, 2 * config.n_embd :].reshape(len(fused), config.n_head, -1)
        mixed = np.einsum("hqk,khf->qhf", inside["attention_torch"][layer], value)
        expected = trace[f"transformer.h.{layer}.attn.c_proj:input"][0]
        assert mixed.reshape(expected.shape) == pytest.approx(expected, abs=1e-5)


def test_both_models_look_alike_inside(inside):
    for name in ("attention", "residual", "top"):
        assert inside[f"{name}_candidate"] == pytest.approx(inside[f"{name}_torch"], abs=1e-4)
    assert inside["attention_candidate"].sum(axis=-1) == pytest.approx(1)
    assert len(inside["tokens"]) == len(inside["ids"]) == len(inside["top_ids"])
    assert int(inside["prompt"]) < len(inside["ids"])  # the rest is the reference's continuation


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
