"""What is sent arrives, and what is no message is refused."""

import socket
import struct

import ml_dtypes
import msgspec
import numpy as np
import pytest

from verify.apart.wire import Packed, Wire


class Message(msgspec.Struct, tag=True):
    name: str
    array: Packed


@pytest.fixture
def wires():
    one, other = socket.socketpair()
    yield Wire(one), Wire(other)
    one.close()
    other.close()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.array(2.5),
        np.empty((0, 3), np.float32),
        np.array([1.5, -2.0], ml_dtypes.bfloat16),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_an_array_arrives_as_it_was(wires, array):
    wires[0].send(Message("a", Packed.of(array)))
    found = wires[1].receive(Message).array.array()
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    found[...] = 0  # it is the receiver's own


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [("float32", (3,), b"12345678"), ("float32", (2,), b"1"), ("nonsense", (1,), b"1234")],
)
def test_an_array_that_does_not_fit_its_bytes_is_an_error(dtype, shape, data):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        Packed(dtype, shape, memoryview(data)).array()


def test_another_message_than_the_one_that_is_expected_is_refused(wires):
    wires[0].send({"type": "Message", "name": 3})
    with pytest.raises(msgspec.ValidationError):
        wires[1].receive(Message)


def test_a_message_that_is_announced_and_never_sent_ends_with_the_sender(wires):
    wires[0]._socket.sendall(struct.pack("!Q", 1 << 60) + b"no more")
    wires[0].close()
    with pytest.raises(EOFError):
        wires[1].receive(Message)
