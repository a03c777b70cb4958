"""Attention, rotation, norms and projections over a paged cache, beside PyTorch."""

import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops
from max.nn import kernels

from tests.verify.graph.conftest import stage_all
from tests.verify.graph.families.comparing import assert_meant, cases
from tests.verify.graph.families.family import CPU, tensor
from tests.verify.graph.families.paged import (
    FAMILIES,
    HEADS,
    LAYER,
    PARAMS,
    QKV,
    QUERY,
    TYPES,
    collection,
    layer,
    table,
)
from tests.verify.graph.helpers import staged
from verify.graph.errors import UnknownOperationError
from verify.graph.evaluate import evaluate


@pytest.fixture(scope="module")
def paged():
    return stage_all(FAMILIES)


@cases(FAMILIES)
def test_in_float64_it_is_what_pytorch_computes(paged, family, index):
    assert_meant(paged, family, index)


def attention_graph(mask, window):
    """Attention whose mask and window MAX's Python would not ask for."""
    parameters = {"mask_str": mask, "local_window_size": window}

    def build(query, *others):
        offsets, blocks, stride, cached, pages, longest, cache_longest, dispatch = others
        values = [query, offsets, blocks, stride, cached, pages, longest, cache_longest]
        constants = [ops.constant(0, DType.uint32, CPU), ops.constant(1.0, DType.float32, CPU)]
        (found,) = ops.inplace_custom(
            "mo.mha.ragged.paged", CPU, [*values, *constants, dispatch], [QUERY],
            parameters=parameters,
        )  # fmt: skip
        return found.tensor

    return staged(build, QUERY, *TYPES)


@pytest.mark.parametrize(
    ("mask", "window", "said"),
    [
        ("tensor_mask", 4, "attention with the mask tensor_mask, which is not known here"),
        ("chunked_causal", -1, "attention with the mask chunked_causal and a window of -1"),
    ],
)
def test_a_mask_that_is_not_known_is_refused(mask, window, said):
    query, *cache = FAMILIES[0].inputs[0]
    with pytest.raises(UnknownOperationError, match=said):
        evaluate(attention_graph(mask, window), [query, *cache])


def test_a_table_narrower_than_a_head_is_refused_where_max_reads_it_across_its_rows():
    def build(qkv, rotation, offsets, *cache):
        blocks, *others = cache
        held = collection([blocks.buffer, *(one.tensor for one in others)])
        return kernels.rope_split_store_ragged(
            PARAMS, qkv.tensor, offsets.tensor, rotation.tensor, held, layer(), HEADS,
            interleaved=False,
        )  # fmt: skip

    graph = staged(build, tensor("f32", "tokens", QKV), tensor("f32", 64, 8), *TYPES)
    offsets, *cache = FAMILIES[0].inputs[0][1:]
    qkv = np.zeros((int(offsets[-1]), QKV), np.float32)
    with pytest.raises(UnknownOperationError, match="a table of 8 features for heads of 16"):
        evaluate(graph, [qkv, table(8), offsets, *cache])


def test_what_was_cached_before_stays_where_it_is():
    """Pages of a batch that this pass does not write to, and other layers, are left alone."""
    store = next(family for family in FAMILIES if family.name == "store keys")
    x, *cache = store.inputs[2]
    before, after = cache[1], evaluate(stage_all([store]).graphs["store keys"], [x, *cache]).outputs
    changed = np.argwhere((after[0] != before).any(axis=(4, 5)))
    assert len(changed) == len(x)
    assert set(changed[:, 1]) == {0}
    assert set(changed[:, 2]) == {LAYER}
