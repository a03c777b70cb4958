"""The engine as an operation of a MAX graph. MAX trusts declared shapes: they are checked here."""

import extensibility
from extensibility import InputTensor, OutputTensor
from extensibility import _MutableInputTensor as MutableInputTensor
from std.math import ceildiv

from .attention import Attention, Integers, SLOTS
from .embedding import Embedding
from .layer import Layer
from .linear import Linear, PANEL
from .model import Model
from .narrow import Patches, STEPS, group_size
from .tile import Floats, W

comptime Vector = InputTensor[dtype=DType.float32, rank=1, ...]
comptime Matrix = InputTensor[dtype=DType.float32, rank=2, ...]
comptime Weights = InputTensor[rank=4, ...]
comptime Cache = MutableInputTensor[dtype=DType.float32, ...]
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


def at(address: Int) -> Floats:
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
    """Token ids to logits; keys and values are kept. The results are memory for what lies between.

    All layers' weights lie behind one another, as their caches do.
    """

    @staticmethod
    def execute[
        head_vectors: Int, target: StaticString
    ](
        x: Result,
        qkv: Result,
        mixed: Result,
        middle: Result,
        wide: Result,
        logits: Cache[rank=2, ...],
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
        gamma_1: Matrix,
        beta_1: Matrix,
        attend: Weights,
        attend_scale: Matrix,
        attend_patches: Pairs,
        attend_bias: Matrix,
        project: Weights,
        project_scale: Matrix,
        project_patches: Pairs,
        project_bias: Matrix,
        gamma_2: Matrix,
        beta_2: Matrix,
        expand: Weights,
        expand_scale: Matrix,
        expand_patches: Pairs,
        expand_bias: Matrix,
        contract: Weights,
        contract_scale: Matrix,
        contract_patches: Pairs,
        contract_bias: Matrix,
        gamma: Matrix,
        beta: Matrix,
        head: Weights,
        head_scale: Matrix,
        head_patches: Pairs,
        head_bias: Matrix,
    ) raises:
        var batch, length = ids.dim_size(0), ids.dim_size(1)
        var rows, width, inner = batch * length, wpe.dim_size(1), wide.dim_size(1)
        var layers, tokens = gamma_1.dim_size(0), logits.dim_size(1)
        var heads, size, slots = keys.dim_size(2), keys.dim_size(4), values.dim_size(3)

        check(x.dim_size(0) == rows, "engine: x has other rows than ids")
        check(qkv.dim_size(0) == rows, "engine: qkv has other rows than ids")
        check(mixed.dim_size(0) == rows, "engine: the mixture has other rows than ids")
        check(middle.dim_size(0) == rows, "engine: the residual has other rows than ids")
        check(wide.dim_size(0) == rows, "engine: the MLP's inside has other rows than ids")
        check(x.dim_size(1) == width, "engine: x does not fit wpe")
        check(qkv.dim_size(1) == 3 * width, "engine: qkv does not fit x")
        check(mixed.dim_size(1) == width, "engine: the mixture does not fit x")
        check(middle.dim_size(1) == width, "engine: the residual does not fit x")
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
        check_weights(attend, attend_scale, attend_patches, layers, width, 3 * width)
        check_weights(project, project_scale, project_patches, layers, width, width)
        check_weights(expand, expand_scale, expand_patches, layers, width, inner)
        check_weights(contract, contract_scale, contract_patches, layers, inner, width)
        check_weights(head, head_scale, head_patches, 1, width, tokens)
        check_vectors(gamma_1, layers, width)
        check_vectors(beta_1, layers, width)
        check_vectors(attend_bias, layers, 3 * width)
        check_vectors(project_bias, layers, width)
        check_vectors(gamma_2, layers, width)
        check_vectors(beta_2, layers, width)
        check_vectors(expand_bias, layers, inner)
        check_vectors(contract_bias, layers, width)
        check_vectors(gamma, 1, width)
        check_vectors(beta, 1, width)
        check_vectors(head_bias, 1, tokens)

        var epsilon = eps.unsafe_ptr().unsafe_load(0)
        var states, mixture = at(Int(x.unsafe_ptr())), at(Int(mixed.unsafe_ptr()))
        var between, inside = at(Int(middle.unsafe_ptr())), at(Int(wide.unsafe_ptr()))
        Model[wte.dtype, head_vectors](
            Embedding[wte.dtype](
                {unsafe_from_address = Int(ids.unsafe_ptr())},
                {unsafe_from_address = Int(past.unsafe_ptr())},
                {unsafe_from_address = Int(wte.unsafe_ptr())},
                at(Int(wte_scale.unsafe_ptr())),
                patches_of(wte_patches, wte.dim_size(1)),
                at(Int(wpe.unsafe_ptr())),
                states,
                batch,
                length,
                wpe.dim_size(0),
                width,
            ),
            Layer[wte.dtype, head_vectors](
                linear[wte.dtype, True, False, False](
                    states, gamma_1, beta_1, epsilon, attend, attend_scale, attend_patches,
                    attend_bias, states, at(Int(qkv.unsafe_ptr())), rows, width, 3 * width,
                ),
                Attention[head_vectors](
                    at(Int(qkv.unsafe_ptr())), at(Int(keys.unsafe_ptr())),
                    at(Int(values.unsafe_ptr())), {unsafe_from_address = Int(past.unsafe_ptr())},
                    mixture, batch, length, heads, size, slots,
                ),
                linear[wte.dtype, False, False, True](
                    mixture, gamma_1, beta_1, epsilon, project, project_scale, project_patches,
                    project_bias, states, between, rows, width, width,
                ),
                linear[wte.dtype, True, True, False](
                    between, gamma_2, beta_2, epsilon, expand, expand_scale, expand_patches,
                    expand_bias, between, inside, rows, width, inner,
                ),
                linear[wte.dtype, False, False, True](
                    inside, gamma_2, beta_2, epsilon, contract, contract_scale, contract_patches,
                    contract_bias, between, states, rows, inner, width,
                ),
            ),
            layers,
            {unsafe_from_address = Int(asked.unsafe_ptr())},
            linear[wte.dtype, True, False, False](
                between, gamma, beta, epsilon, head, head_scale, head_patches, head_bias,
                between, at(Int(logits.unsafe_ptr())), asked.dim_size(0), width, tokens,
            ),
        ).run()


def linear[
    dtype: DType, norm: Bool, gelu: Bool, residual: Bool
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
) -> Linear[dtype, norm, gelu, residual]:
    """A linear layer of the first of all layers."""
    return Linear[dtype, norm, gelu, residual](
        x,
        at(Int(gamma.unsafe_ptr())),
        at(Int(beta.unsafe_ptr())),
        eps,
        {unsafe_from_address = Int(w.unsafe_ptr())},
        at(Int(scale.unsafe_ptr())),
        patches_of(patches, w.dim_size(0) * w.dim_size(1)),
        at(Int(bias.unsafe_ptr())),
        added,
        y,
        rows,
        depth,
        columns,
    )
