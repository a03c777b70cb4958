import numpy as np
import pytest
from max.driver import CPU as HOST
from max.driver import Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import BufferType, Graph, Module, ops

from tests.verify.graph.helpers import CPU, buffer, floats, kind, staged
from verify.graph.adapter import read
from verify.graph.evaluate import evaluate
from verify.graph.operations.buffers import Cell


def test_what_was_loaded_does_not_change_with_a_later_write():
    cell = Cell(np.zeros(3))
    before = cell.load()
    cell.writable()[0] = 1
    loaded = cell.load()
    cell.writable()[1] = 2
    assert (before.tolist(), loaded.tolist()) == ([0, 0, 0], [1, 0, 0])
    assert cell.load().tolist() == [1, 2, 0]


def test_two_writes_without_a_load_between_take_one_copy():
    cell = Cell(np.zeros(3))
    first = cell.writable()
    assert cell.writable() is first


@pytest.mark.parametrize(("value", "expected"), [(2.5, 2.5), (0.0, 0.0)])
def test_a_buffer_that_the_graph_creates_holds_a_number_everywhere(value, expected):
    kind_of = BufferType(DType.float32, [2, 3], CPU)
    graph = staged(lambda: ops.buffer_load(ops.buffer_create(kind_of, value)))
    assert (evaluate(graph, []).outputs[0] == expected).all()


def test_an_empty_buffer_holds_no_number():
    kind_of = BufferType(DType.float32, [2], CPU)
    graph = staged(lambda: ops.buffer_load(ops.buffer_create(kind_of)))
    assert np.isnan(evaluate(graph, []).outputs[0]).all()


def cached(cache, x, start):
    """A row for a cache at a place that is given, as an engine writes it."""
    at = start.tensor
    rows = (slice(at, at + 1), 1)
    ops.buffer_store_slice(cache.buffer, x.tensor, [rows, slice(None)])
    held = ops.buffer_load(cache.buffer)
    ops.buffer_store(cache.buffer, held * 2)
    return held, ops.buffer_load(cache.buffer)


TYPES = (buffer("cap", 3), kind(1, 3), kind(dtype=DType.int64))


@pytest.mark.parametrize("start", [0, 2, 3])
def test_a_row_is_written_where_the_graph_says(start):
    cache = floats(4, 3)
    found = evaluate(staged(cached, *TYPES), [cache, floats(1, 3, seed=1), np.array(start)])
    expected = cache.astype(float)
    expected[start] = floats(1, 3, seed=1)
    assert np.array_equal(found.outputs[0], expected)
    assert np.array_equal(found.buffers[0], expected * 2)


@pytest.mark.compiles
def test_max_writes_the_same():
    program = Module()
    with Graph("cached", input_types=TYPES, module=program) as graph:
        graph.output(*cached(*graph.inputs))
    session = InferenceSession(devices=[HOST()])
    model = session.init_all(session.compile(program), weights_registry={})["cached"]
    (read_back,) = read(program)
    for start in (0, 3):
        cache, row = floats(4, 3), floats(1, 3, seed=1)
        found = evaluate(read_back, [cache, row, np.array(start)], precision="declared")
        held = Buffer.from_numpy(cache.copy())
        outputs = model.execute(held, Buffer.from_numpy(row), Buffer.from_numpy(np.array(start)))
        assert np.array_equal(held.to_numpy(), found.buffers[0])
        for ours, theirs in zip(found.outputs, outputs, strict=True):
            assert np.array_equal(ours, theirs.to_numpy())
