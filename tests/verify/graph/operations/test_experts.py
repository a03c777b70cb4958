"""Mixtures of experts beside PyTorch. MAX 26.7 compiles these operations for accelerators alone."""

import numpy as np
import pytest
import torch
from max.dtype import DType
from max.graph import ops
from max.nn import kernels
from max.nn.activation import GatedActivation
from max.nn.comm.ep.ep_kernels import fused_silu
from torch.nn.functional import silu

from tests.verify.graph.helpers import kind, staged
from verify.graph.errors import UnknownOperationError
from verify.graph.evaluate import evaluate

EXPERTS, PER_TOKEN, FEATURES, OUT = 5, 2, 6, 4


def mixture(chosen, x, weights, share):
    """Gather rows by expert, multiply, put back: as MAX's layers do."""
    order, starts, restore, experts, usage = kernels.moe_create_indices(
        ops.reshape(chosen.tensor, [-1]), EXPERTS
    )
    rows = ops.gather(x.tensor, ops.cast(order // PER_TOKEN, DType.int32), axis=0)
    made = kernels.grouped_matmul_ragged(rows, weights.tensor, starts, experts, usage)
    whole = kernels.moe_finalize(made, restore, share.tensor, DType.float32)
    return [whole, starts, experts, usage, order]


def graph():
    return staged(
        mixture,
        kind("tokens", PER_TOKEN, dtype=DType.int32),
        kind("tokens", FEATURES),
        kind(EXPERTS, OUT, FEATURES),
        kind("tokens", PER_TOKEN),
    )


def drawn(tokens, seed=0):
    """Two experts of each token, none of which is the fourth."""
    rng = np.random.default_rng(seed)
    pairs = [rng.permutation([0, 1, 2, 4])[:PER_TOKEN] for _ in range(tokens)]
    return [
        np.array(pairs, np.int32).reshape(tokens, PER_TOKEN),
        rng.standard_normal((tokens, FEATURES)),
        rng.standard_normal((EXPERTS, OUT, FEATURES)),
        rng.standard_normal((tokens, PER_TOKEN)),
    ]


@pytest.mark.parametrize("tokens", [0, 1, 9])
def test_each_token_is_the_weighted_sum_of_its_experts(tokens):
    chosen, x, weights, share = map(torch.tensor, drawn(tokens))
    each = torch.einsum("tf,tkof->tko", x, weights[chosen.long()])
    expected = torch.einsum("tko,tk->to", each, share).numpy()
    found = evaluate(graph(), drawn(tokens)).outputs[0]
    assert found.shape == (tokens, OUT)
    assert np.abs(found - expected).max(initial=0) <= 1e-14


def test_rows_stand_by_expert_and_an_expert_may_have_none():
    given = drawn(9)
    _, starts, experts, usage, order = evaluate(graph(), given).outputs
    chosen = given[0].reshape(-1)
    assert (np.diff(chosen[order]) >= 0).all()
    assert (np.diff(starts.astype(int)) == np.bincount(chosen, minlength=EXPERTS)).all()
    assert starts[3] == starts[4]
    assert experts.tolist() == [0, 1, 2, 3, 4]
    assert usage.tolist() == [np.bincount(chosen).max(), EXPERTS]


def test_an_expert_that_is_not_there_is_refused():
    chosen, *others = drawn(3)
    chosen[1, 0] = EXPERTS
    with pytest.raises(UnknownOperationError, match="an expert that is not there"):
        evaluate(graph(), [chosen, *others])


def swiglu_of_gpt_oss(gate, up):
    gate, up = gate.clamp(max=0.8), up.clamp(-0.8, 0.8)
    return gate * torch.sigmoid(1.702 * gate) * (up + 1)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize(
    ("activation", "truth"),
    [
        (GatedActivation(), lambda gate, up: silu(gate) * up),
        (
            GatedActivation(limit=0.8),
            lambda gate, up: silu(gate.clamp(max=0.8)) * up.clamp(-0.8, 0.8),
        ),
        (GatedActivation("swigluoai", alpha=1.702, limit=0.8), swiglu_of_gpt_oss),
    ],
    ids=["silu", "limited silu", "gpt-oss"],
)
def test_an_activation_is_gated_as_pytorch_computes_it(activation, truth, interleaved):
    graph = staged(
        lambda x, starts: fused_silu(x.tensor, starts.tensor, activation, interleaved),
        kind("rows", 2 * FEATURES),
        kind(3, dtype=DType.uint32),
    )
    x = np.random.default_rng(0).standard_normal((7, 2 * FEATURES))
    whole = torch.tensor(x)
    parts = (whole[:, 0::2], whole[:, 1::2]) if interleaved else whole.chunk(2, 1)
    found = evaluate(graph, [x, np.array([0, 2, 5], np.uint32)]).outputs[0]
    assert np.abs(found[:5] - truth(*parts).numpy()[:5]).max() <= 1e-15


def test_a_gated_activation_that_is_not_known_is_refused():
    graph = staged(
        lambda x, starts: fused_silu(x.tensor, starts.tensor, GatedActivation("gelu_tanh")),
        kind("rows", 2 * FEATURES),
        kind(3, dtype=DType.uint32),
    )
    with pytest.raises(UnknownOperationError, match="gelu_tanh, which is not known here"):
        evaluate(graph, [np.zeros((1, 2 * FEATURES)), np.zeros(3, np.uint32)])
