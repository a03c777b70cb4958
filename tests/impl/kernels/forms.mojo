"""Runs a linear layer and attention in every form of the kernels; see test_forms.py.

Each line: what, of how many rows, in which form, a hash of the result's bits, and whether they are
those of the first form.
"""

from std.sys import argv
from std.memory import alloc, bitcast

from kernels.activation import GELU_TANH
from kernels.attention import Attention, Kept
from kernels.form import AVX2, AVX512, FLOATS, HAS_FMA, NEON, PAIRS, PLAIN, TILES, TILES_EMULATED
from kernels.linear import Linear
from kernels.narrow import Patches
from kernels.team import Counters, Worker
from kernels.tile import Floats, floats

comptime DEPTH = 70
comptime COLUMNS = 75
comptime PANELS = 3


def read(name: String) raises -> Int:
    """A file's bytes, at a page's beginning, with room for what is prefetched after them."""
    var file = open(String(argv()[1]) + "/" + name, "r")
    var data = file.read_bytes()
    var to = alloc[UInt8](len(data) + 8192, alignment=4096)
    for i in range(len(data)):
        to[i] = data[i]
    return Int(to)


def floats_of(name: String) raises -> Floats:
    return Floats(unsafe_from_address=read(name))


def alone(own: Int) -> Worker:
    """A worker that does everything."""
    var counters = Counters(unsafe_from_address=Int(alloc[Int64](1024, alignment=64)))
    for i in range(1024):
        counters.unsafe_store(i, Int64(0))
    return Worker(counters, 0, 1, floats(own + 64))


def hash_of(y: Floats, count: Int) -> UInt64:
    var hash = UInt64(14695981039346656037)
    for i in range(count):
        var bits = UInt64(bitcast[DType.uint32, 1](y.unsafe_load(i)))
        hash = (hash ^ bits) * UInt64(1099511628211)
    return hash


def say(what: String, rows: Int, form: Int, hash: UInt64, first: UInt64):
    print(what, rows, form, hash, "same" if hash == first else "other")


def layer[dtype: DType, norm: Bool, form: Int, unit: Int](name: String, rows: Int) raises -> UInt64:
    """A layer's results; `name` is of the packed weights."""
    var y = floats(rows * COLUMNS)
    var panels = PANELS
    var scale = floats_of(name + ".scale")
    var patches = read(name + ".patches")
    var linear = Linear[dtype, norm, GELU_TANH, False, form, unit](
        floats_of("x"), floats_of("gamma"), floats_of("beta"), Float32(1e-5),
        {unsafe_from_address = read(name + ".words")}, scale,
        Patches(
            {unsafe_from_address = patches}, {unsafe_from_address = patches + 4 * (panels + 1)}
        ),
        floats_of("bias"), floats_of("x"), y, rows, DEPTH, COLUMNS,
    )
    var worker = alone(linear.own())
    linear.walk(worker, floats(linear.scratch() + 64))
    return hash_of(y, rows * COLUMNS)


def layers[dtype: DType, norm: Bool, unit: Int = FLOATS](name: String) raises:
    for rows in [1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 40, 530]:
        var first = layer[dtype, norm, AVX512, unit](name, rows)
        comptime for form in [AVX512, AVX2, NEON, PLAIN]:
            var what = name + (".norm" if norm else "") + (".pairs" if unit == PAIRS else "")
            say(what, rows, form, layer[dtype, norm, form, unit](name, rows), first)


def mixed[
    V: Int, form: Int, cached: DType
](name: String, size: Int, batch: Int, length: Int) raises -> UInt64:
    """Attention of a prompt, and of the token after it."""
    comptime heads = 3
    var slots = 64
    var keys = empty[cached](batch * heads * slots * size)
    var values = empty[cached](batch * heads * slots * V * 16)
    var past = alloc[Int64](batch)
    var scale = floats(1)
    scale.unsafe_store(0, Float32(0.125))
    var hash = UInt64(0)
    var done = 0
    for tokens in [length, 1]:
        for row in range(batch):
            past[row] = Int64(done)
        var y = floats(batch * tokens * heads * size)
        var attention = Attention[V, form, cached](
            floats_of(name), keys, values, {unsafe_from_address = Int(past)}, scale, y, batch,
            tokens, heads, size, slots,
        )
        var worker = alone(0)
        attention.walk(worker)
        hash = hash * 31 + hash_of(y, batch * tokens * heads * size)
        done += tokens
    return hash


def empty[dtype: DType](count: Int) -> Kept[dtype]:
    """A cache's memory, all zeros."""
    var memory = alloc[Scalar[dtype]](count, alignment=64)
    for i in range(count):
        memory[i] = 0
    return {unsafe_from_address = Int(memory)}


def attentions[V: Int, cached: DType = DType.float32](name: String, size: Int) raises:
    var what = String("attention.") + name + "." + String(size)
    comptime if cached == DType.bfloat16:
        what += ".bfloat16"
    for length in [1, 2, 5, 13, 47]:
        var first = mixed[V, AVX512, cached](name, size, 2, length)
        comptime for form in [AVX512, AVX2, NEON, PLAIN]:
            say(what, length, form, mixed[V, form, cached](name, size, 2, length), first)


def main() raises:
    print("fma", "yes" if HAS_FMA else "no")
    layers[DType.float32, False]("float32")
    layers[DType.float32, True]("float32")
    layers[DType.uint32, False]("narrow-float32")
    layers[DType.bfloat16, False]("bfloat16")
    layers[DType.uint16, False]("narrow-bfloat16")
    layers[DType.int8, False]("int8")
    layers[DType.bfloat16, False, PAIRS]("bfloat16")
    layers[DType.uint16, False, PAIRS]("narrow-bfloat16")
    layers[DType.uint16, True, PAIRS]("narrow-bfloat16")
    attentions[4]("qkv", 64)
    attentions[2]("qkv", 20)
    attentions[1]("qkv", 16)
    attentions[4]("rounded", 64)
    attentions[4, DType.bfloat16]("qkv", 64)
    attentions[4, DType.bfloat16]("rounded", 64)
