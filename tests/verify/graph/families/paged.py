"""Custom operations over a paged cache, beside PyTorch.

Pages of four tokens lie scattered in the blocks. Requests are as long as a page, one token shorter
and longer, one token, and none at all; some have tokens cached before. Keys have fewer heads than
queries. Every family returns what its cache holds at the end besides.
"""

import itertools

import numpy as np
import torch
from max.dtype import DType
from max.graph import BufferType, ops
from max.nn import kernels
from max.nn.attention.mask_config import MHAMaskVariant
from max.nn.kv_cache import MHAKVCacheParams, PagedCacheValues
from torch.nn.functional import rms_norm, scaled_dot_product_attention
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from tests.verify.graph.families.family import CPU, Family, tensor

HEADS, KV_HEADS, FEATURES, LAYERS, PAGE, PAGES = 6, 2, 16, 3, 4, 5
LAYER = 1
HIDDEN = 24
BLOCKS = (40, 2, LAYERS, PAGE, KV_HEADS, FEATURES)
SCALE = 0.31
EPSILON = 3e-3
QKV = (HEADS + 2 * KV_HEADS) * FEATURES

PARAMS = MHAKVCacheParams(
    dtype=DType.float32, head_dim=FEATURES, num_layers=LAYERS, devices=[CPU], page_size=PAGE,
    n_kv_heads=KV_HEADS,
)  # fmt: skip

COMPILED = {"attention causal"}
"""Families that were seen to compile on a CPU, to the same numbers. "attention window" was seen not
to (MAX 26.7: "Failed to compile the model"); the others have not been tried: `ALL_OPERATIONS=1`."""

BATCHES = [
    # tokens of this pass, tokens cached before
    ((4, 3, 5, 1), (0, 0, 0, 0)),
    ((1, 1, 1, 1), (3, 4, 5, 11)),
    ((9, 2, 4, 6), (3, 10, 0, 7)),
]


def batch(lengths, cached, seed=0):
    """The cache's six operands and the offsets, without the blocks: what every family takes."""
    rng = np.random.default_rng(seed)
    pages = rng.permutation(BLOCKS[0])[: len(lengths) * PAGES].reshape(len(lengths), PAGES)
    total = [np.array([max(each)], np.uint32) for each in (lengths, cached)]
    return {
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32),
        "blocks": rng.standard_normal(BLOCKS).astype(np.float32),
        "stride": np.array([np.prod(BLOCKS[1:])], np.int64),
        "cached": np.array(cached, np.uint32),
        "pages": pages.astype(np.uint32),
        "longest": total[0],
        "cache longest": total[1],
        "dispatch": np.array([len(lengths), max(lengths), 1, max(cached)], np.int64),
    }


TYPES = [
    tensor("u32", "offsets"),
    BufferType(DType.float32, ["pages", *BLOCKS[1:]], CPU),
    tensor("i64", 1),
    tensor("u32", "batch"),
    tensor("u32", "batch", "pages_of_each"),
    tensor("u32", 1),
    tensor("u32", 1),
    tensor("i64", 4),
]


def collection(inputs):
    """The cache as MAX's functions take it, from a graph's inputs as `TYPES` declares them."""
    blocks, stride, cached, pages, longest, cache_longest, dispatch = inputs
    return PagedCacheValues(
        kv_blocks=blocks, cache_lengths=cached, lookup_table=pages, max_prompt_length=longest,
        max_cache_length=cache_longest, page_stride=stride, attention_dispatch_metadata=dispatch,
    )  # fmt: skip


class Batch:
    """A batch in PyTorch: every request by itself, its cache as a plain list of tokens."""

    def __init__(self, offsets, blocks, stride, cached, pages, longest, cache_longest, dispatch):
        self.blocks = torch.tensor(blocks)
        self.lengths = [int(b) - int(a) for a, b in itertools.pairwise(offsets)]
        self.cached = [int(one) for one in cached]
        self.pages = pages.astype(int)

    def split(self, array):
        """An array of tokens by request."""
        return torch.split(torch.as_tensor(array), self.lengths)

    def slots(self, row, first, last):
        """Page and place of the tokens from `first` to `last` of a request."""
        return [(int(self.pages[row, at // PAGE]), at % PAGE) for at in range(first, last)]

    def held(self, row, part, first=0):
        """Keys or values of a request from `first` on, this pass's included."""
        last = self.cached[row] + self.lengths[row]
        own = [self.blocks[page, part, LAYER, at] for page, at in self.slots(row, first, last)]
        return torch.stack(own) if own else self.blocks[:0, part, LAYER, 0]

    def put(self, part, array):
        """Keep what this pass made, `[tokens, kv heads, features]`."""
        for row, own in enumerate(self.split(array)):
            first = self.cached[row]
            for token, (page, at) in zip(
                own, self.slots(row, first, first + len(own)), strict=True
            ):
                self.blocks[page, part, LAYER, at] = token

    def new(self, part):
        """What this pass made, as the cache holds it."""
        return torch.cat([self.held(row, part, first) for row, first in enumerate(self.cached)])

    def positions(self):
        """Of every token."""
        each = zip(self.cached, self.lengths, strict=True)
        return torch.cat([torch.arange(first, first + new) for first, new in each])


def table(width=FEATURES, base=300.0):
    """Cosines and sines of 64 positions, pair by pair."""
    frequency = base ** (-np.arange(0, width, 2) / width)
    angle = np.arange(64)[:, None] * frequency
    return np.stack([np.cos(angle), np.sin(angle)], -1).reshape(64, width).astype(np.float32)


def turned(array, rows, *, interleaved):
    """Rotated by transformers, which pairs the halves; neighbours are brought there and back."""
    array, rows = torch.as_tensor(array), torch.as_tensor(rows)
    cosine, sine = (rows[:, at::2].repeat(1, 2)[None] for at in (0, 1))
    width = array.shape[-1]
    if interleaved:
        array = torch.cat([array[..., 0::2], array[..., 1::2]], -1)
    whole = array.transpose(0, 1)[None]
    (found, _) = apply_rotary_pos_emb(whole, whole, cosine, sine)
    found = found[0].transpose(0, 1)
    if not interleaved:
        return found
    return torch.stack([found[..., : width // 2], found[..., width // 2 :]], -1).flatten(-2)


def partly(array, rows, *, interleaved, last):
    """Rotated in the first or in the last features of a head alone."""
    array, width = torch.as_tensor(array), rows.shape[1]
    if last:
        kept, part = array[..., : array.shape[-1] - width], array[..., -width:]
        return torch.cat([kept, turned(part, rows, interleaved=interleaved)], -1)
    part, kept = array[..., :width], array[..., width:]
    return torch.cat([turned(part, rows, interleaved=interleaved), kept], -1)


def layer():
    return ops.constant(LAYER, DType.uint32, CPU)


def family(name, own, build, truth, arrays, **more):
    """A family whose first inputs are its own and whose last are the cache's.

    Args:
        name: of the graph.
        own: types of its own inputs.
        build: from its own tensors, the offsets and the cache, results by name.
        truth: from its own arrays and a `Batch`, the same.
        arrays: from a number of tokens, its own arrays.
        more: as `Family` takes it.
    """

    def whole(*inputs):
        mine, (offsets, *cache) = inputs[: len(own)], inputs[len(own) :]
        cache = collection(cache)
        made = build(*mine, offsets, cache)
        return {**made, "cache": ops.buffer_load(cache.kv_blocks)}

    def expected(*inputs):
        mine, given = inputs[: len(own)], Batch(*inputs[len(own) :])
        found = truth(*map(torch.as_tensor, mine), given)
        return {**found, "cache": given.blocks}

    sets = []
    for seed, (lengths, cached) in enumerate(BATCHES):
        rng = np.random.default_rng(100 + seed)
        sets.append((*arrays(sum(lengths), rng), *batch(lengths, cached, seed).values()))
    return Family(name, [*own, *TYPES], whole, expected, sets, quick=name in COMPILED, **more)


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


# ---- attention ---------------------------------------------------------------------------------


def mask_of(name, window):
    """Whether a query at q sees a key at k, from a table of positions."""
    return {
        "causal": lambda q, k: k <= q,
        "null": lambda q, k: True,
        "window": lambda q, k: k <= q and k in range(q - window + 1, q + 1),
        "window both": lambda q, k: k > q or k in range(q - window + 1, q + 1),
        "chunked": lambda q, k: k <= q and q // window == k // window,
    }[name]


def attention_of(name, window):
    sees = mask_of(name, window)

    def truth(query, given, sinks=None):
        results = []
        for row, own in enumerate(given.split(query)):
            keys, values = given.held(row, 0), given.held(row, 1)
            mask = torch.tensor(
                [
                    [sees(given.cached[row] + q, k) for k in range(len(keys))]
                    for q in range(len(own))
                ]
            ).reshape(1, len(own), len(keys))
            q, k, v = (one.transpose(0, 1)[None].double() for one in (own, keys, values))
            mask = mask.expand(HEADS, -1, -1)
            if sinks is None:
                found = scaled_dot_product_attention(
                    q, k, v, attn_mask=mask, scale=SCALE, enable_gqa=True
                )[0]
            else:
                found = with_sinks(q[0], k[0], v[0], mask, sinks)
            results.append(found.transpose(0, 1))
        return {"attention": torch.cat(results)}

    return truth


def with_sinks(query, keys, values, mask, sinks):
    """gpt-oss: one column more in the softmax, which is dropped after it."""
    group = len(query) // len(keys)
    keys, values = (one.repeat_interleave(group, 0) for one in (keys, values))
    scores = (query @ keys.transpose(1, 2) * SCALE).masked_fill(~mask, -torch.inf)
    column = sinks.double()[:, None, None].expand(-1, scores.shape[1], 1)
    weights = torch.softmax(torch.cat([scores, column], -1), -1)[..., :-1]
    return weights @ values


def attends(variant, window=-1):
    def build(query, offsets, cache):
        found = kernels.flash_attention_ragged(
            PARAMS, query, offsets, cache, layer(), variant, SCALE, local_window_size=window
        )
        return {"attention": found}

    return build


def attends_with_sinks(variant, window):
    def build(query, sinks, offsets, cache):
        found = kernels.flash_attention_ragged(
            PARAMS, query, offsets, cache, layer(), variant, SCALE, local_window_size=window,
            sink_weights=sinks,
        )  # fmt: skip
        return {"attention": found}

    return build


def sunk(name, window):
    truth = attention_of(name, window)
    return lambda query, sinks, given: truth(query, given, sinks)


QUERY = tensor("f32", "tokens", HEADS, FEATURES)
ROTATION = tensor("f32", 64, FEATURES)


def queries(tokens, rng):
    return (normal(rng, tokens, HEADS, FEATURES),)


def queries_and_sinks(tokens, rng):
    return normal(rng, tokens, HEADS, FEATURES), normal(rng, HEADS)


MASKS = MHAMaskVariant
ATTENTION = [
    family(f"attention {name}", [QUERY], attends(variant, window), attention_of(name, window),
           queries)
    for name, variant, window in [
        ("causal", MASKS.CAUSAL_MASK, -1),
        ("null", MASKS.NULL_MASK, -1),
        ("window", MASKS.SLIDING_WINDOW_CAUSAL_MASK, 3),
        ("window both", MASKS.SLIDING_WINDOW_NONCAUSAL_MASK, 3),
        ("chunked", MASKS.CHUNKED_CAUSAL_MASK, 16),
    ]
]  # fmt: skip
ATTENTION += [
    family("attention causal with a size", [QUERY], attends(MASKS.CAUSAL_MASK, 3),
           attention_of("causal", -1), queries),
    family("sinks causal", [QUERY, tensor("f32", HEADS)],
           attends_with_sinks(MASKS.CAUSAL_MASK, 3), sunk("causal", -1), queries_and_sinks),
    family("sinks window", [QUERY, tensor("f32", HEADS)],
           attends_with_sinks(MASKS.SLIDING_WINDOW_CAUSAL_MASK, 3), sunk("window", 3),
           queries_and_sinks),
]  # fmt: skip

# ---- rotation ----------------------------------------------------------------------------------


def split_store(*, interleaved):
    def build(qkv, rotation, offsets, cache):
        found = kernels.rope_split_store_ragged(
            PARAMS, qkv, offsets, rotation, cache, layer(), HEADS, interleaved=interleaved
        )
        return {"queries": found}

    def truth(qkv, rotation, given):
        query, key, value = (
            one.reshape(len(qkv), -1, FEATURES)
            for one in torch.split(qkv, [HEADS * FEATURES] + [KV_HEADS * FEATURES] * 2, 1)
        )
        own = rotation[given.positions()]
        given.put(0, turned(key, own, interleaved=interleaved))
        given.put(1, value)
        return {"queries": turned(query, own, interleaved=interleaved).flatten(1)}

    def arrays(tokens, rng):
        return normal(rng, tokens, QKV), table()

    return family(
        f"split store {'pairs' if interleaved else 'halves'}",
        [tensor("f32", "tokens", QKV), ROTATION], build, truth, arrays,
    )  # fmt: skip


def split_store_by_identity(section):
    """M-RoPE: features of each section are rotated by positions of their own."""
    ends = [int(2 * end) for end in np.cumsum(section)] if section else [FEATURES]

    def build(qkv, rotation, identities, offsets, cache):
        found = kernels.rope_split_store_ragged(
            PARAMS, qkv, offsets, rotation, cache, layer(), HEADS, interleaved=False,
            position_ids=identities, mrope_section=section,
        )  # fmt: skip
        return {"queries": found}

    def truth(qkv, rotation, identities, given):
        query, key, value = (
            one.reshape(len(qkv), -1, FEATURES)
            for one in torch.split(qkv, [HEADS * FEATURES] + [KV_HEADS * FEATURES] * 2, 1)
        )
        parts, first = [], 0
        for at, end in enumerate(ends):
            parts.append(rotation[identities[at].long()][:, first:end])
            first = end
        own = torch.cat(parts, 1)
        given.put(0, turned(key, own, interleaved=False))
        given.put(1, value)
        return {"queries": turned(query, own, interleaved=False).flatten(1)}

    def arrays(tokens, rng):
        identities = rng.integers(0, 64, (len(ends), tokens)).astype(np.uint32)
        return normal(rng, tokens, QKV), table(), identities

    return family(
        f"split store by {'sections' if section else 'identity'}",
        [tensor("f32", "tokens", QKV), ROTATION, tensor("u32", len(ends), "tokens")],
        build, truth, arrays,
    )  # fmt: skip


def fused_rope(*, interleaved, width):
    def build(query, rotation, offsets, cache):
        found = kernels.fused_qk_ragged_rope(
            PARAMS, query, offsets, cache, rotation, layer(), interleaved=interleaved
        )
        return {"queries": found}

    def truth(query, rotation, given):
        own = rotation[given.positions()]
        given.put(0, partly(given.new(0), own, interleaved=interleaved, last=interleaved))
        return {"queries": partly(query, own, interleaved=interleaved, last=interleaved)}

    def arrays(tokens, rng):
        return *queries(tokens, rng), table(width)

    return family(
        f"fused rope {'pairs' if interleaved else 'halves'} {width}",
        [QUERY, tensor("f32", 64, width)], build, truth, arrays,
    )  # fmt: skip


def plain_rope(*, interleaved, width, first):
    def build(query, rotation, offsets, cache):
        found = kernels.rope_ragged(
            query, offsets, cache.cache_lengths, rotation, interleaved=interleaved,
            rope_first=first,
        )  # fmt: skip
        return {"rotated": found}

    def truth(query, rotation, given):
        own = rotation[given.positions()]
        return {"rotated": partly(query, own, interleaved=interleaved, last=not first)}

    def arrays(tokens, rng):
        return *queries(tokens, rng), table(width)

    return family(
        f"rope {'pairs' if interleaved else 'halves'} {width} {'first' if first else 'last'}",
        [QUERY, tensor("f32", 64, width)], build, truth, arrays,
    )  # fmt: skip


def rope_by_identity():
    def build(query, rotation, identities, offsets, cache):
        found = kernels.rope_ragged_with_position_ids(
            query, rotation, identities, interleaved=False
        )
        return {"rotated": found}

    def truth(query, rotation, identities, given):
        own = rotation[identities[0].long()]
        return {"rotated": turned(query, own, interleaved=False)}

    def arrays(tokens, rng):
        return *queries(tokens, rng), table(), rng.integers(0, 64, (1, tokens)).astype(np.uint32)

    return family(
        "rope by identity", [QUERY, ROTATION, tensor("u32", 1, "tokens")], build, truth, arrays
    )


ROTARY = [
    split_store(interleaved=False),
    split_store(interleaved=True),
    split_store_by_identity(None),
    split_store_by_identity([2, 2, 4]),
    *(fused_rope(interleaved=each, width=width) for each in (False, True) for width in (16, 8)),
    plain_rope(interleaved=False, width=16, first=True),
    *(plain_rope(interleaved=each, width=8, first=first)
      for each in (False, True) for first in (False, True)),
    rope_by_identity(),
]  # fmt: skip

# ---- projections, norms and stores -------------------------------------------------------------


def projected(kind):
    """x W^T: to queries, keys and values, with a bias or without; to keys and values; to keys."""
    parts = {"qkv": 2, "qkv bias": 2, "kv": 2, "k": 1}[kind]
    columns = (HEADS if "q" in kind else 0) * FEATURES + parts * KV_HEADS * FEATURES

    def build(x, weight, bias, offsets, cache):
        if "q" in kind:
            found = kernels.fused_qkv_ragged_matmul(
                PARAMS, x, offsets, weight, cache, layer(), HEADS,
                bias=bias if "bias" in kind else None,
            )  # fmt: skip
            return {"queries": found}
        into = kernels.matmul_kv_cache_ragged if kind == "kv" else kernels.matmul_k_cache_ragged
        into(PARAMS, x, offsets, weight, cache, layer())
        return {}

    def truth(x, weight, bias, given):
        whole = torch.nn.functional.linear(x, weight, bias if "bias" in kind else None)
        first = columns - parts * KV_HEADS * FEATURES
        for part in range(parts):
            own = whole[:, first:][:, part * KV_HEADS * FEATURES :][:, : KV_HEADS * FEATURES]
            given.put(part, own.reshape(len(x), KV_HEADS, FEATURES))
        return {"queries": whole[:, :first]} if "q" in kind else {}

    def arrays(tokens, rng):
        return normal(rng, tokens, HIDDEN), normal(rng, columns, HIDDEN), normal(rng, columns)

    own = [tensor("f32", "tokens", HIDDEN), tensor("f32", columns, HIDDEN), tensor("f32", columns)]
    return family(f"project {kind}", own, build, truth, arrays)


def cache_norm(part, *, each_head, offset=0.0):
    width = FEATURES if each_head else KV_HEADS * FEATURES
    into = kernels.rms_norm_value_cache if part else kernels.rms_norm_key_cache

    def build(x, weight, offsets, cache):
        into(
            PARAMS, cache, weight, EPSILON, layer(), x.shape[0], offsets, offset,
            per_head_norm=each_head,
        )  # fmt: skip
        return {}

    def truth(x, weight, given):
        array = given.new(part).reshape(len(x), -1, width)
        found = rms_norm(array, (width,), weight + offset, EPSILON)
        given.put(part, found.reshape(len(x), KV_HEADS, FEATURES))
        return {}

    def arrays(tokens, rng):
        return normal(rng, tokens, 1), normal(rng, width)

    name = f"norm {'values' if part else 'keys'} {'of heads' if each_head else 'of tokens'}"
    return family(
        f"{name} {offset}", [tensor("f32", "tokens", 1), tensor("f32", width)], build, truth, arrays
    )


def both_normed(query, weights, given, offset):
    of_query, of_key = weights
    given.put(0, rms_norm(given.new(0), (FEATURES,), of_key + offset, EPSILON))
    return rms_norm(query, (FEATURES,), of_query + offset, EPSILON)


WEIGHTS = [tensor("f32", FEATURES)] * 2


def query_key_norm():
    def build(query, of_query, of_key, offsets, cache):
        found = kernels.fused_qk_ragged_rms_norm(
            PARAMS, query, offsets, cache, of_query, of_key, EPSILON, layer(), 1.0
        )
        return {"queries": found}

    def truth(query, of_query, of_key, given):
        return {"queries": both_normed(query, (of_query, of_key), given, 1.0)}

    def arrays(tokens, rng):
        return *queries(tokens, rng), normal(rng, FEATURES), normal(rng, FEATURES)

    return family("norm queries and keys", [QUERY, *WEIGHTS], build, truth, arrays)


def query_key_norm_rope():
    def build(query, of_query, of_key, rotation, offsets, cache):
        found = kernels.fused_qk_rms_norm_rope_ragged(
            PARAMS, query, offsets, cache, of_query, of_key, rotation, EPSILON, layer(), 1.0,
            interleaved=False,
        )  # fmt: skip
        return {"queries": found}

    def truth(query, of_query, of_key, rotation, given):
        own = rotation[given.positions()]
        query = both_normed(query, (of_query, of_key), given, 1.0)
        given.put(0, partly(given.new(0), own, interleaved=False, last=False))
        return {"queries": partly(query, own, interleaved=False, last=False)}

    def arrays(tokens, rng):
        weights = normal(rng, FEATURES), normal(rng, FEATURES)
        return *queries(tokens, rng), *weights, table(8)

    own = [QUERY, *WEIGHTS, tensor("f32", 64, 8)]
    return family("norm and rotate queries and keys", own, build, truth, arrays)


def stored(part):
    store = kernels.store_v_cache_ragged if part else kernels.store_k_cache_ragged

    def build(x, offsets, cache):
        store(cache, x, offsets, layer())
        return {}

    def truth(x, given):
        given.put(part, x)
        return {}

    def arrays(tokens, rng):
        return (normal(rng, tokens, KV_HEADS, FEATURES),)

    own = [tensor("f32", "tokens", KV_HEADS, FEATURES)]
    return family(f"store {'values' if part else 'keys'}", own, build, truth, arrays)


CACHE = [
    *map(projected, ("qkv", "qkv bias", "kv", "k")),
    cache_norm(0, each_head=True),
    cache_norm(0, each_head=True, offset=1.0),
    cache_norm(0, each_head=False),
    cache_norm(1, each_head=True),
    query_key_norm(),
    query_key_norm_rope(),
    stored(0),
    stored(1),
]

FAMILIES = [*ATTENTION, *ROTARY, *CACHE]
