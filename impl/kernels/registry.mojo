"""The kernels as operations of a MAX graph. MAX trusts the declared shapes: they are checked here."""

import extensibility
from extensibility import InputTensor, OutputTensor
from extensibility import _MutableInputTensor as MutableInputTensor
from std.math import ceildiv

from .attention import Attention, Integers, SLOTS
from .embedding import Embedding
from .layer import Layer
from .linear import Linear, PANEL
from .tile import Floats, W

comptime Vector = InputTensor[dtype=DType.float32, rank=1, ...]
comptime Matrix = InputTensor[dtype=DType.float32, rank=2, ...]
comptime Weights = InputTensor[rank=3, ...]
comptime Cache = MutableInputTensor[dtype=DType.float32, ...]
comptime Counts = InputTensor[dtype=DType.int64, rank=1, ...]
comptime Result = OutputTensor[dtype=DType.float32, rank=2, ...]


def check(holds: Bool, message: StaticString) raises:
    if not holds:
        raise Error(message)


def check_weights(w: Weights, depth: Int, columns: Int, scales: Int) raises:
    """Packed weights of `columns` outputs; 8-bit ones have a scale for each."""
    check(w.dim_size(0) == ceildiv(columns, PANEL), "engine: too few or too many panels")
    check(w.dim_size(1) == depth, "engine: the weights have another depth than x")
    check(w.dim_size(2) == PANEL, "engine: the panels have another width")
    comptime if w.dtype.is_integral():
        check(scales == columns, "engine: 8-bit weights need one scale for each output")


def check_norm(width: Int, gamma: Vector, beta: Vector, eps: Vector) raises:
    check(gamma.dim_size(0) == width, "engine: gamma does not fit x")
    check(beta.dim_size(0) == width, "engine: beta does not fit x")
    check(eps.dim_size(0) == 1, "engine: eps is one number")


def check_linear(
    rows: Int, depth: Int, w: Weights, scale: Vector, bias: Vector, y: Result
) raises:
    check(y.dim_size(0) == rows, "engine: y has other rows than x")
    check(bias.dim_size(0) == y.dim_size(1), "engine: bias does not fit y")
    check_weights(w, depth, y.dim_size(1), scale.dim_size(0))


def check_attention[
    head_vectors: Int
](
    qkv: Result, keys: Cache[rank=5, ...], values: Cache[rank=4, ...], past: Counts, y: Result
) raises:
    var rows, batch, heads = qkv.dim_size(0), past.dim_size(0), keys.dim_size(1)
    var slots, size = keys.dim_size(2) * SLOTS, keys.dim_size(3)
    check(rows % batch == 0, "engine: past does not fit qkv")
    check(qkv.dim_size(1) == 3 * heads * size, "engine: keys do not fit qkv")
    check(y.dim_size(0) == rows, "engine: the mixture has other rows than qkv")
    check(y.dim_size(1) == heads * size, "engine: the mixture does not fit qkv")
    check(keys.dim_size(0) == batch, "engine: keys have other rows than past")
    check(keys.dim_size(4) == SLOTS, "engine: panels of keys have another width")
    check(values.dim_size(0) == batch, "engine: values have other rows than past")
    check(values.dim_size(1) == heads, "engine: values have other heads than keys")
    check(values.dim_size(2) == slots, "engine: values have other slots than keys")
    check(values.dim_size(3) == head_vectors * W, "engine: values' width is wrong")
    check(size <= head_vectors * W, "engine: a head does not fit its vectors")
    for row in range(batch):
        check(0 <= Int(past.unsafe_ptr().unsafe_load(row)) < slots, "engine: past is outside")


def at(address: Int) -> Floats:
    return Floats(unsafe_from_address=address)


@extensibility.register("engine_head")
struct Head:
    """Gives y = norm(x) w + bias."""

    @staticmethod
    def execute[
        target: StaticString
    ](
        y: Result,
        x: Matrix,
        gamma: Vector,
        beta: Vector,
        eps: Vector,
        w: Weights,
        scale: Vector,
        bias: Vector,
    ) raises:
        check_norm(x.dim_size(1), gamma, beta, eps)
        check_linear(x.dim_size(0), x.dim_size(1), w, scale, bias, y)
        Linear[w.dtype, True, False, False](
            at(Int(x.unsafe_ptr())), at(Int(gamma.unsafe_ptr())), at(Int(beta.unsafe_ptr())), eps.unsafe_ptr().unsafe_load(0),
            {unsafe_from_address = Int(w.unsafe_ptr())}, at(Int(scale.unsafe_ptr())), at(Int(bias.unsafe_ptr())), at(Int(x.unsafe_ptr())), at(Int(y.unsafe_ptr())),
            x.dim_size(0), x.dim_size(1), y.dim_size(1),
        ).run()


@extensibility.register("engine_layer")
struct GPT2Layer:
    """Gives y = m + MLP(norm(m)), where m = x + attention(norm(x)), and keeps keys and values.

    The other results are memory for what lies between.
    """

    @staticmethod
    def execute[
        head_vectors: Int, target: StaticString
    ](
        y: Result,
        qkv: Result,
        mixed: Result,
        middle: Result,
        wide: Result,
        x: Matrix,
        keys: Cache[rank=5, ...],
        values: Cache[rank=4, ...],
        past: Counts,
        eps: Vector,
        gamma_1: Vector,
        beta_1: Vector,
        attend: Weights,
        attend_scale: Vector,
        attend_bias: Vector,
        project: Weights,
        project_scale: Vector,
        project_bias: Vector,
        gamma_2: Vector,
        beta_2: Vector,
        widen: Weights,
        widen_scale: Vector,
        widen_bias: Vector,
        narrow: Weights,
        narrow_scale: Vector,
        narrow_bias: Vector,
    ) raises:
        check_norm(x.dim_size(1), gamma_1, beta_1, eps)
        check_norm(middle.dim_size(1), gamma_2, beta_2, eps)
        check_linear(x.dim_size(0), x.dim_size(1), attend, attend_scale, attend_bias, qkv)
        check_attention[head_vectors](qkv, keys, values, past, mixed)
        check_linear(x.dim_size(0), mixed.dim_size(1), project, project_scale, project_bias, middle)
        check_linear(x.dim_size(0), middle.dim_size(1), widen, widen_scale, widen_bias, wide)
        check_linear(x.dim_size(0), wide.dim_size(1), narrow, narrow_scale, narrow_bias, y)
        check(x.dim_size(1) == y.dim_size(1), "engine: a layer's result has another width than x")
        check(middle.dim_size(1) == y.dim_size(1), "engine: a residual has another width than x")
        var rows, batch, heads = x.dim_size(0), past.dim_size(0), keys.dim_size(1)
        var width, inner = x.dim_size(1), wide.dim_size(1)
        Layer[attend.dtype, head_vectors](
            Linear[attend.dtype, True, False, False](
                at(Int(x.unsafe_ptr())), at(Int(gamma_1.unsafe_ptr())), at(Int(beta_1.unsafe_ptr())), eps.unsafe_ptr().unsafe_load(0),
                {unsafe_from_address = Int(attend.unsafe_ptr())}, at(Int(attend_scale.unsafe_ptr())), at(Int(attend_bias.unsafe_ptr())),
                at(Int(x.unsafe_ptr())), at(Int(qkv.unsafe_ptr())), rows, width, 3 * width,
            ),
            Attention[head_vectors](
                at(Int(qkv.unsafe_ptr())), at(Int(keys.unsafe_ptr())), at(Int(values.unsafe_ptr())),
                {unsafe_from_address = Int(past.unsafe_ptr())}, at(Int(mixed.unsafe_ptr())), batch, rows // batch,
                heads, keys.dim_size(3), values.dim_size(2),
            ),
            Linear[attend.dtype, False, False, True](
                at(Int(mixed.unsafe_ptr())), at(Int(x.unsafe_ptr())), at(Int(x.unsafe_ptr())), Float32(0),
                {unsafe_from_address = Int(project.unsafe_ptr())}, at(Int(project_scale.unsafe_ptr())),
                at(Int(project_bias.unsafe_ptr())), at(Int(x.unsafe_ptr())), at(Int(middle.unsafe_ptr())), rows, width, width,
            ),
            Linear[attend.dtype, True, True, False](
                at(Int(middle.unsafe_ptr())), at(Int(gamma_2.unsafe_ptr())), at(Int(beta_2.unsafe_ptr())), eps.unsafe_ptr().unsafe_load(0),
                {unsafe_from_address = Int(widen.unsafe_ptr())}, at(Int(widen_scale.unsafe_ptr())), at(Int(widen_bias.unsafe_ptr())),
                at(Int(middle.unsafe_ptr())), at(Int(wide.unsafe_ptr())), rows, width, inner,
            ),
            Linear[attend.dtype, False, False, True](
                at(Int(wide.unsafe_ptr())), at(Int(x.unsafe_ptr())), at(Int(x.unsafe_ptr())), Float32(0),
                {unsafe_from_address = Int(narrow.unsafe_ptr())}, at(Int(narrow_scale.unsafe_ptr())),
                at(Int(narrow_bias.unsafe_ptr())), at(Int(middle.unsafe_ptr())), at(Int(y.unsafe_ptr())), rows, inner, width,
            ),
        ).run()


@extensibility.register("engine_embedding")
struct Embed:
    """Gives x = wte[ids] + wpe[positions], where row b's positions begin at past[b]."""

    @staticmethod
    def execute[
        target: StaticString
    ](
        x: Result,
        ids: InputTensor[dtype=DType.int64, rank=2, ...],
        past: Counts,
        wte: Weights,
        scale: Vector,
        wpe: Matrix,
        vocabulary: Counts,
    ) raises:
        var batch, length, size = ids.dim_size(0), ids.dim_size(1), wpe.dim_size(1)
        var tokens = Int(vocabulary.unsafe_ptr().unsafe_load(0))
        check(x.dim_size(0) == batch * length, "engine_embedding: x does not fit ids")
        check(x.dim_size(1) == size, "engine_embedding: x does not fit wpe")
        check(past.dim_size(0) == batch, "engine_embedding: past has other rows than ids")
        check_weights(wte, size, tokens, scale.dim_size(0))
        for i in range(batch * length):
            var id = Int(ids.unsafe_ptr().unsafe_load(i))
            check(0 <= id < tokens, "engine_embedding: an id is outside the vocabulary")
        Embedding[wte.dtype](
            {unsafe_from_address = Int(ids.unsafe_ptr())},
            {unsafe_from_address = Int(past.unsafe_ptr())},
            {unsafe_from_address = Int(wte.unsafe_ptr())},
            at(Int(scale.unsafe_ptr())),
            at(Int(wpe.unsafe_ptr())),
            at(Int(x.unsafe_ptr())),
            batch,
            length,
            wpe.dim_size(0),
            size,
        ).run()
