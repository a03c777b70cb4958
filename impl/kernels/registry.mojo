"""The kernels as operations of a MAX graph. MAX trusts the declared shapes: they are checked here."""

import extensibility
from extensibility import InputTensor, OutputTensor
from extensibility import _MutableInputTensor as MutableInputTensor
from std.math import ceildiv

from .attention import Attention, Integers, SLOTS
from .embedding import Embedding
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


def at(address: Int) -> Floats:
    return Floats(unsafe_from_address=address)


@extensibility.register("engine_norm_linear")
struct NormLinear:
    """Gives y = act(norm(x) w + bias)."""

    @staticmethod
    def execute[
        gelu: Bool, target: StaticString
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
        var rows, depth, columns = x.dim_size(0), x.dim_size(1), y.dim_size(1)
        check(y.dim_size(0) == rows, "engine_norm_linear: y has other rows than x")
        check(bias.dim_size(0) == columns, "engine_norm_linear: bias does not fit y")
        check(gamma.dim_size(0) == depth, "engine_norm_linear: gamma does not fit x")
        check(beta.dim_size(0) == depth, "engine_norm_linear: beta does not fit x")
        check(eps.dim_size(0) == 1, "engine_norm_linear: eps is one number")
        check_weights(w, depth, columns, scale.dim_size(0))
        Linear[w.dtype, True, gelu, False](
            at(Int(x.unsafe_ptr())),
            at(Int(gamma.unsafe_ptr())),
            at(Int(beta.unsafe_ptr())),
            eps.unsafe_ptr().unsafe_load(0),
            {unsafe_from_address = Int(w.unsafe_ptr())},
            at(Int(scale.unsafe_ptr())),
            at(Int(bias.unsafe_ptr())),
            at(Int(x.unsafe_ptr())),
            at(Int(y.unsafe_ptr())),
            rows,
            depth,
            columns,
        ).run()


@extensibility.register("engine_linear_add")
struct LinearAdd:
    """Gives y = added + x w + bias."""

    @staticmethod
    def execute[
        target: StaticString
    ](y: Result, x: Matrix, w: Weights, scale: Vector, bias: Vector, added: Matrix) raises:
        var rows, depth, columns = x.dim_size(0), x.dim_size(1), y.dim_size(1)
        check(y.dim_size(0) == rows, "engine_linear_add: y has other rows than x")
        check(bias.dim_size(0) == columns, "engine_linear_add: bias does not fit y")
        check(added.dim_size(0) == rows, "engine_linear_add: added has other rows than x")
        check(added.dim_size(1) == columns, "engine_linear_add: added does not fit y")
        check_weights(w, depth, columns, scale.dim_size(0))
        var unused = at(Int(bias.unsafe_ptr()))
        Linear[w.dtype, False, False, True](
            at(Int(x.unsafe_ptr())),
            unused,
            unused,
            Float32(0),
            {unsafe_from_address = Int(w.unsafe_ptr())},
            at(Int(scale.unsafe_ptr())),
            at(Int(bias.unsafe_ptr())),
            at(Int(added.unsafe_ptr())),
            at(Int(y.unsafe_ptr())),
            rows,
            depth,
            columns,
        ).run()


@extensibility.register("engine_attention")
struct CachedAttention:
    """Stores the keys and values of qkv, and gives the mixture for each of its queries."""

    @staticmethod
    def execute[
        head_vectors: Int, target: StaticString
    ](
        y: Result,
        qkv: Matrix,
        keys: Cache[rank=5, ...],
        values: Cache[rank=4, ...],
        past: Counts,
    ) raises:
        var rows, batch, heads = qkv.dim_size(0), past.dim_size(0), keys.dim_size(1)
        var slots, size = keys.dim_size(2) * SLOTS, keys.dim_size(3)
        check(rows % batch == 0, "engine_attention: past does not fit qkv")
        check(qkv.dim_size(1) == 3 * heads * size, "engine_attention: keys do not fit qkv")
        check(y.dim_size(0) == rows, "engine_attention: y has other rows than qkv")
        check(y.dim_size(1) == heads * size, "engine_attention: y does not fit qkv")
        check(keys.dim_size(0) == batch, "engine_attention: keys have other rows than past")
        check(keys.dim_size(4) == SLOTS, "engine_attention: panels of keys have another width")
        check(values.dim_size(0) == batch, "engine_attention: values have other rows than past")
        check(values.dim_size(1) == heads, "engine_attention: values have other heads than keys")
        check(values.dim_size(2) == slots, "engine_attention: values have other slots than keys")
        check(values.dim_size(3) == head_vectors * W, "engine_attention: values' width is wrong")
        check(size <= head_vectors * W, "engine_attention: a head does not fit its vectors")
        for row in range(batch):
            check(0 <= Int(past.unsafe_ptr().unsafe_load(row)) < slots, "engine_attention: past")
        Attention[head_vectors](
            at(Int(qkv.unsafe_ptr())),
            at(Int(keys.unsafe_ptr())),
            at(Int(values.unsafe_ptr())),
            {unsafe_from_address = Int(past.unsafe_ptr())},
            at(Int(y.unsafe_ptr())),
            batch,
            rows // batch,
            heads,
            size,
            slots,
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
