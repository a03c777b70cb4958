"""Traps of MAX on a CPU, as strict expected failures: the day one is gone, its test fails.

And that a GPT-2 which steps into the worst of them does not pass.
"""

import math
from pathlib import Path

import numpy as np
import pytest
from max.driver import CPU, Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import DeviceRef, Graph, Module, TensorType, ops

from impl.runtime import build, open_device
from impl.weights import from_hugging_face
from reference.load import load
from verify.candidate.factory import load_factory
from verify.candidate.model_graphs import trace_model
from verify.checks.invariances import metamorphic_checks
from verify.max_bugs import olmo2_eps, sums_in_16_bits, where_mask
from verify.pairing.prepare import NamedCandidate
from verify.run import Plan, verify

pytestmark = pytest.mark.compiles

FACTORY = load_factory(f"{Path(__file__).parent / 'models' / 'where_mask.py'}:model")
BATCHES = ((2,), (1, 2))
VOCABULARY = 5


@pytest.fixture(scope="module")
def distances():
    return where_mask.measure()


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="MAX 26.7: a mask made by comparing positions is dropped when attention is fused",
)
def test_a_mask_made_by_comparing_positions_is_applied(distances):
    _, masked = distances["where"]
    assert masked <= where_mask.TOLERANCE


def test_the_result_of_the_dropped_mask_is_attention_without_one(distances):
    """Not merely inaccurate; goes with the bug."""
    unmasked, masked = distances["where"]
    if masked <= where_mask.TOLERANCE:
        pytest.skip("the bug is gone")
    assert unmasked <= where_mask.TOLERANCE


@pytest.mark.parametrize("name", ["where_returned", "band_part"])
def test_a_mask_that_is_returned_or_made_by_band_part_is_applied(distances, name):
    unmasked, masked = distances[name]
    assert masked <= where_mask.TOLERANCE < unmasked


@pytest.fixture(scope="module")
def traps():
    """Small graphs in one program: attention by a condition on the scores, and a gather."""
    program, cpu = Module(), DeviceRef.CPU()
    for batch in BATCHES:
        _add_conditional_attention(program, batch)
    table = TensorType(DType.float32, [VOCABULARY, 1], cpu)
    ids = TensorType(DType.int64, ["count"], cpu)
    with Graph("gather", input_types=[table, ids], module=program) as graph:
        rows, index = (graph_input.tensor for graph_input in graph.inputs)
        graph.output(ops.gather(rows, index, axis=0))
    session = InferenceSession(devices=[CPU()])
    return session.init_all(session.compile(program), weights_registry={})


def _add_conditional_attention(program, batch):
    """softmax(where(ahead, -inf, query @ key^T)) @ value; `batch` are the leading dimensions."""
    cpu = DeviceRef.CPU()
    kind = TensorType(DType.float32, [*batch, "length", where_mask.FEATURES], cpu)
    with Graph(f"rank_{len(batch) + 2}", input_types=[kind] * 3, module=program) as graph:
        query, key, value = (graph_input.tensor for graph_input in graph.inputs)
        length = query.shape[-2]
        position = ops.range(0, length, 1, out_dim=length, dtype=DType.int64, device=cpu)
        ahead = ops.unsqueeze(position, 0) > ops.unsqueeze(position, 1)
        blocked = ops.constant(-math.inf, DType.float32, device=cpu)
        scores = ops.where(ahead, blocked, query @ ops.transpose(key, -2, -1))
        graph.output(ops.softmax(scores) @ value)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="MAX 26.7: where(ahead, -inf, scores) is dropped (rank 3), or gives NaN (rank 4)",
)
@pytest.mark.parametrize("batch", BATCHES, ids=["rank_3", "rank_4"])
def test_a_condition_on_the_scores_is_applied(traps, batch):
    shape = (3, *batch, where_mask.LENGTH, where_mask.FEATURES)
    arrays = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    model = traps[f"rank_{len(batch) + 2}"]
    (found,) = model.execute(*(Buffer.from_numpy(np.ascontiguousarray(a)) for a in arrays))
    expected = where_mask.numpy_attention(*arrays, masked=True)
    assert np.abs(found.to_numpy() - expected).max() <= where_mask.TOLERANCE


@pytest.mark.xfail(
    strict=True,
    raises=pytest.fail.Exception,
    reason="MAX 26.7: a gather reads indices in [-size, -1] from the end, without a word",
)
@pytest.mark.parametrize("index", [-1, -VOCABULARY])
def test_a_negative_token_id_is_an_error(traps, index):
    with pytest.raises(ValueError, match="index"):
        _gather(traps, index)


@pytest.mark.parametrize("index", [VOCABULARY, -VOCABULARY - 1])
def test_an_id_beyond_that_is_an_error(traps, index):
    with pytest.raises(ValueError, match="index"):
        _gather(traps, index)


def _gather(traps, index):
    table = np.arange(VOCABULARY, dtype=np.float32)[:, None]
    ids = np.array([index], np.int64)
    (row,) = traps["gather"].execute(Buffer.from_numpy(table), Buffer.from_numpy(ids))
    return row.to_numpy()


@pytest.fixture(scope="module")
def outcome():
    plan = Plan(
        checkpoint=load("tiny"),
        regimes=("given",),
        sizes=[(1, 9), (1, 33)],
        subject=NamedCandidate(name="model", factory=FACTORY),
    )
    return verify(plan, emit=lambda _: None)


def test_a_gpt2_with_a_dropped_mask_fails_and_attention_is_named_first(outcome):
    assert outcome.verdict == "FAIL"
    assert outcome.first_divergence.tap == "transformer.h.2.attn.c_proj:input"
    alone = {c.tap for c in outcome.checks if c.mode == "isolated" and c.verdict == "FAIL"}
    assert alone == {"transformer.h.2.attn.c_proj:input", "transformer.h.2.attn.c_proj"}


def test_the_graph_that_ships_is_wrong_and_taps_at_modules_do_not_hide_it(outcome):
    plain = {c.verdict for c in outcome.checks if c.mode == "plain"}
    tapped = {c.verdict for c in outcome.checks if c.mode == "free" and c.tap == "lm_head"}
    assert (plain, tapped) == ({"FAIL"}, {"FAIL"})


def test_the_dropped_mask_is_seen_without_an_oracle():
    checkpoint, device = load("tiny"), open_device("cpu")
    candidate = trace_model(build(checkpoint.config, device, factory=FACTORY), device)
    checks = metamorphic_checks(
        candidate.bind(from_hugging_face(checkpoint.config, checkpoint.weights)),
        checkpoint.config, regime="given", device="cpu", seed=0, allowed=1e-4,
    )  # fmt: skip
    failed = {check.case for check in checks if check.verdict == "FAIL"}
    assert failed == {"given-causality", "given-token-0", "given-prefix", "given-right-padding"}


@pytest.fixture(scope="module")
def product_errors():
    return sums_in_16_bits.measure()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="MAX 26.7: a batched product on a CPU keeps its sums in 16 bits",
)
def test_a_batched_product_in_16_bits_is_rounded_once(product_errors, dtype):
    assert product_errors[f"batched {dtype}"] <= sums_in_16_bits.UNIT[dtype]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_product_of_two_matrices_in_16_bits_is_rounded_once(product_errors, dtype):
    assert product_errors[f"single {dtype}"] <= sums_in_16_bits.UNIT[dtype]


@pytest.fixture(scope="module")
def olmo2_errors():
    return olmo2_eps.measure()


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="MAX 26.7: OLMo 2 (max.nn) makes q_norm and k_norm without rms_norm_eps",
)
def test_olmo2_normalises_queries_with_the_epsilon_of_its_configuration(olmo2_errors):
    asked, _ = olmo2_errors
    assert asked <= olmo2_eps.TOLERANCE


def test_what_it_computes_instead_is_the_default_epsilon(olmo2_errors):
    """Goes with the bug."""
    asked, default = olmo2_errors
    if asked <= olmo2_eps.TOLERANCE:
        pytest.skip("the bug is gone")
    assert default <= olmo2_eps.TOLERANCE
