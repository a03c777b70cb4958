"""The engine as an operation of a MAX graph. MAX trusts declared shapes: they are checked here."""

import extensibility
from extensibility import InputTensor, OutputTensor
from extensibility import _MutableInputTensor as MutableInputTensor
from std.math import ceildiv

from .activation import NONE
from .attention import Attention, Integers, SLOTS
from .embedding import Embedding
from .form import TILES
from .layer import Layer
from .linear import Linear, PANEL
from .model import Model
from .narrow import Patches, STEPS, group_size
from .tile import Floats, W
from .tiles import HAS_TILES

comptime Vector = InputTensor[dtype=DType.float32, rank=1, ...]
comptime Matrix = InputTensor[dtype=DType.float32, rank=2, ...]
comptime Weights = InputTensor[rank=4, ...]
comptime Cache = MutableInputTensor[...]
comptime Counts = InputTensor[dtype=DType.int64, rank=1, ...]
comptime Pairs = InputTensor[dtype=DType.int32, rank=1, ...]
comptime Result = OutputTensor[dtype=DType.float32, rank=2, ...]


def check(holds: Bool, message: StaticString) raises:
    if not holds:
        raise Error(message)


def check_weights(
    w: Weights, scale: Matrix, patches: Pairs, layers: Int, depth: Int, columns: Int
) raises:
    """Packed weights of `columns` outputs for each layer; integers have a scale for each output."""
    var panels = ceildiv(columns, PANEL)
    check(w.dim_size(0) == layers, "engine: weights of too few or too many layers")
    check(w.dim_size(1) == panels, "engine: too few or too many panels")
    comptime if w.dtype.is_unsigned():
        var groups = ceildiv(depth, STEPS)
        check(w.dim_size(2) == groups, "engine: the weights have another depth than x")
        check(w.dim_size(3) == group_size[w.dtype](), "engine: the panels have another width")
        var starts = layers * panels + 1
        check(patches.dim_size(0) >= starts, "engine: some panel's patches are missing")
        var count = Int(patches.unsafe_ptr().unsafe_load(starts - 1))
        check(patches.dim_size(0) >= starts + 2 * count, "engine: some patches are missing")
    else:
        check(w.dim_size(2) == depth, "engine: the weights have another depth than x")
        check(w.dim_size(3) == PANEL, "engine: the panels have another width")
    comptime if w.dtype.is_integral():
        check(scale.dim_size(0) == layers, "engine: scales of too few or too many layers")
        check(scale.dim_size(1) == columns, "engine: integers need one scale for each output")


def check_vectors(vectors: Matrix, layers: Int, size: Int) raises:
    """Biases and LayerNorms."""
    check(vectors.dim_size(0) == layers, "engine: vectors of too few or too many layers")
    check(vectors.dim_size(1) == size, "engine: a vector does not fit its layer")


def check_cache[
    head_vectors: Int
](
    keys: Cache[rank=6, ...], values: Cache[rank=5, ...], past: Counts, layers: Int, width: Int
) raises:
    var batch, heads, size = past.dim_size(0), keys.dim_size(2), keys.dim_size(4)
    var slots = keys.dim_size(3) * SLOTS
    check(keys.dim_size(0) == layers, "engine: keys of too few or too many layers")
    check(values.dim_size(0) == layers, "engine: values of too few or too many layers")
    check(keys.dim_size(1) == batch, "engine: keys have other rows than past")
    check(heads * size == width, "engine: the heads do not fit x")
    check(keys.dim_size(5) == SLOTS, "engine: panels of keys have another width")
    check(values.dim_size(1) == batch, "engine: values have other rows than past")
    check(values.dim_size(2) == heads, "engine: values have other heads than keys")
    check(values.dim_size(3) == slots, "engine: values have other slots than keys")
    check(values.dim_size(4) == head_vectors * W, "engine: values' width is wrong")
    check(size <= head_vectors * W, "engine: a head does not fit its vectors")
    for row in range(batch):
        check(0 <= Int(past.unsafe_ptr().unsafe_load(row)) < slots, "engine: past is outside")


def check_numbers(numbers: Counts, end: Int, message: StaticString) raises:
    """Each lies between 0 and `end`."""
    for i in range(numbers.dim_size(0)):
        check(0 <= Int(numbers.unsafe_ptr().unsafe_load(i)) < end, message)


def floats_at(address: Int) -> Floats:
    return Floats(unsafe_from_address=address)


def patches_of(pairs: Pairs, panels: Int) -> Patches:
    """Where the patches of so many panels begin, then the patches."""
    var starts = pairs.unsafe_ptr()
    return Patches(
        {unsafe_from_address = Int(starts)},
        {unsafe_from_address = Int(starts) + 4 * (panels + 1)},
    )


@extensibility.register("engine")
struct Engine:
    """Token ids to logits; keys and values are kept.

    All layers' weights lie behind one another, as their caches do. Parameters have Hugging Face's
    names, with `_` for a dot. The results, which nobody reads, are memory for what lies between:

        x       [rows, n_embd]      the residual stream, before and after each layer
        qkv     [rows, 3 n_embd]    what c_attn computes
        mixed   [rows, n_embd]      the values as attention mixes them, which attn.c_proj reads
        middle  [rows, n_embd]      the residual stream between attention and MLP; at the end the
                                    states that are asked for, which ln_f and lm_head read
        wide    [rows, n_inner]     the MLP's inside, after the activation
    """

    @staticmethod
    def execute[
        head_vectors: Int, act: Int, form: Int, unit: Int, target: StaticString
    ](
        x: Result,
        qkv: Result,
        mixed: Result,
        middle: Result,
        wide: Result,
        logits: MutableInputTensor[dtype=DType.float32, rank=2, ...],
        ids: InputTensor[dtype=DType.int64, rank=2, ...],
        past: Counts,
        asked: Counts,
        keys: Cache[rank=6, ...],
        values: Cache[rank=5, ...],
        wte: Weights,
        wte_scale: Matrix,
        wte_patches: Pairs,
        wpe: Matrix,
        eps: Vector,
        attention_scale: Vector,
        ln_1_weight: Matrix,
        ln_1_bias: Matrix,
        c_attn: Weights,
        c_attn_scale: Matrix,
        c_attn_patches: Pairs,
        c_attn_bias: Matrix,
        attn_c_proj: Weights,
        attn_c_proj_scale: Matrix,
        attn_c_proj_patches: Pairs,
        attn_c_proj_bias: Matrix,
        ln_2_weight: Matrix,
        ln_2_bias: Matrix,
        c_fc: Weights,
        c_fc_scale: Matrix,
        c_fc_patches: Pairs,
        c_fc_bias: Matrix,
        mlp_c_proj: Weights,
        mlp_c_proj_scale: Matrix,
        mlp_c_proj_patches: Pairs,
        mlp_c_proj_bias: Matrix,
        ln_f_weight: Matrix,
        ln_f_bias: Matrix,
        lm_head: Weights,
        lm_head_scale: Matrix,
        lm_head_patches: Pairs,
        lm_head_bias: Matrix,
    ) raises:
        comptime cached = keys.dtype
        comptime assert values.dtype == cached, "engine: keys and values have one dtype"
        comptime if form == TILES and not HAS_TILES:
            raise Error("engine: MAX compiles for a CPU without AMX, so that there are no tiles")
        var batch, length = ids.dim_size(0), ids.dim_size(1)
        var rows, width, inner = batch * length, wpe.dim_size(1), wide.dim_size(1)
        var layers, tokens = ln_1_weight.dim_size(0), logits.dim_size(1)
        var heads, size, slots = keys.dim_size(2), keys.dim_size(4), values.dim_size(3)

        check(x.dim_size(0) == rows, "engine: x has other rows than ids")
        check(qkv.dim_size(0) == rows, "engine: qkv has other rows than ids")
        check(mixed.dim_size(0) == rows, "engine: mixed has other rows than ids")
        check(middle.dim_size(0) == rows, "engine: middle has other rows than ids")
        check(wide.dim_size(0) == rows, "engine: wide has other rows than ids")
        check(x.dim_size(1) == width, "engine: x does not fit wpe")
        check(qkv.dim_size(1) == 3 * width, "engine: qkv does not fit x")
        check(mixed.dim_size(1) == width, "engine: mixed does not fit x")
        check(middle.dim_size(1) == width, "engine: middle does not fit x")
        check(asked.dim_size(0) <= rows, "engine: more states are asked for than there are")
        check(logits.dim_size(0) == asked.dim_size(0), "engine: logits do not fit `asked`")
        check(past.dim_size(0) == batch, "engine: past has other rows than ids")
        check(eps.dim_size(0) == 1, "engine: eps is one number")
        check_numbers(asked, rows, "engine: a state is asked for that is not there")
        for i in range(rows):
            var id = Int(ids.unsafe_ptr().unsafe_load(i))
            check(0 <= id < tokens, "engine: an id is outside the vocabulary")
        check_cache[head_vectors](keys, values, past, layers, width)
        check_weights(wte, wte_scale, wte_patches, 1, width, tokens)
        check_weights(c_attn, c_attn_scale, c_attn_patches, layers, width, 3 * width)
        check_weights(attn_c_proj, attn_c_proj_scale, attn_c_proj_patches, layers, width, width)
        check_weights(c_fc, c_fc_scale, c_fc_patches, layers, width, inner)
        check_weights(mlp_c_proj, mlp_c_proj_scale, mlp_c_proj_patches, layers, inner, width)
        check_weights(lm_head, lm_head_scale, lm_head_patches, 1, width, tokens)
        check_vectors(ln_1_weight, layers, width)
        check_vectors(ln_1_bias, layers, width)
        check_vectors(c_attn_bias, layers, 3 * width)
        check_vectors(attn_c_proj_bias, layers, width)
        check_vectors(ln_2_weight, layers, width)
        check_vectors(ln_2_bias, layers, width)
        check_vectors(c_fc_bias, layers, inner)
        check_vectors(mlp_c_proj_bias, layers, width)
        check_vectors(ln_f_weight, 1, width)
        check_vectors(ln_f_bias, 1, width)
        check_vectors(lm_head_bias, 1, tokens)

        var epsilon = eps.unsafe_ptr().unsafe_load(0)
        var to_x, to_mixed = floats_at(Int(x.unsafe_ptr())), floats_at(Int(mixed.unsafe_ptr()))
        var to_middle = floats_at(Int(middle.unsafe_ptr()))
        var to_wide = floats_at(Int(wide.unsafe_ptr()))
        var to_qkv = floats_at(Int(qkv.unsafe_ptr()))
        Model[wte.dtype, head_vectors, act, form, unit, cached](
            Embedding[wte.dtype](
                {unsafe_from_address = Int(ids.unsafe_ptr())},
                {unsafe_from_address = Int(past.unsafe_ptr())},
                {unsafe_from_address = Int(wte.unsafe_ptr())},
                floats_at(Int(wte_scale.unsafe_ptr())),
                patches_of(wte_patches, wte.dim_size(1)),
                floats_at(Int(wpe.unsafe_ptr())),
                to_x,
                batch,
                length,
                wpe.dim_size(0),
                width,
            ),
            Layer[wte.dtype, head_vectors, act, form, unit, cached](
                linear[wte.dtype, True, NONE, False, form, unit](
                    to_x, ln_1_weight, ln_1_bias, epsilon, c_attn, c_attn_scale, c_attn_patches,
                    c_attn_bias, to_x, to_qkv, rows, width, 3 * width,
                ),
                Attention[head_vectors, form, cached](
                    to_qkv, {unsafe_from_address = Int(keys.unsafe_ptr())},
                    {unsafe_from_address = Int(values.unsafe_ptr())},
                    {unsafe_from_address = Int(past.unsafe_ptr())},
                    floats_at(Int(attention_scale.unsafe_ptr())), to_mixed, batch, length, heads,
                    size, slots,
                ),
                linear[wte.dtype, False, NONE, True, form, unit](
                    to_mixed, ln_1_weight, ln_1_bias, epsilon, attn_c_proj, attn_c_proj_scale,
                    attn_c_proj_patches, attn_c_proj_bias, to_x, to_middle, rows, width, width,
                ),
                linear[wte.dtype, True, act, False, form, unit](
                    to_middle, ln_2_weight, ln_2_bias, epsilon, c_fc, c_fc_scale, c_fc_patches,
                    c_fc_bias, to_middle, to_wide, rows, width, inner,
                ),
                linear[wte.dtype, False, NONE, True, form, unit](
                    to_wide, ln_2_weight, ln_2_bias, epsilon, mlp_c_proj, mlp_c_proj_scale,
                    mlp_c_proj_patches, mlp_c_proj_bias, to_middle, to_x, rows, inner, width,
                ),
            ),
            layers,
            {unsafe_from_address = Int(asked.unsafe_ptr())},
            linear[wte.dtype, True, NONE, False, form, unit](
                to_middle, ln_f_weight, ln_f_bias, epsilon, lm_head, lm_head_scale, lm_head_patches,
                lm_head_bias, to_middle, floats_at(Int(logits.unsafe_ptr())), asked.dim_size(0),
                width, tokens,
            ),
        ).run()


def linear[
    dtype: DType, norm: Bool, act: Int, residual: Bool, form: Int, unit: Int
](
    x: Floats,
    gamma: Matrix,
    beta: Matrix,
    eps: Float32,
    w: Weights,
    scale: Matrix,
    patches: Pairs,
    bias: Matrix,
    added: Floats,
    y: Floats,
    rows: Int,
    depth: Int,
    columns: Int,
) -> Linear[dtype, norm, act, residual, form, unit]:
    """A linear layer of the first of all layers."""
    return Linear[dtype, norm, act, residual, form, unit](
        x,
        floats_at(Int(gamma.unsafe_ptr())),
        floats_at(Int(beta.unsafe_ptr())),
        eps,
        {unsafe_from_address = Int(w.unsafe_ptr())},
        floats_at(Int(scale.unsafe_ptr())),
        patches_of(patches, w.dim_size(0) * w.dim_size(1)),
        floats_at(Int(bias.unsafe_ptr())),
        added,
        y,
        rows,
        depth,
        columns,
    )
