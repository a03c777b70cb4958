"""Messages between the harness and its processes apart: lengths, then MessagePack.

What comes from a candidate's process is data of the types declared here, or an error: nothing in it
is ever run.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from verify.graph.form import numpy_dtype

if TYPE_CHECKING:
    from socket import socket

    from reference.trace import Array

T = TypeVar("T")

LENGTH = struct.Struct("!Q")
PIECE = 1 << 20


class Packed(msgspec.Struct, frozen=True):
    """An array as bytes.

    Attributes:
        dtype: as MAX names it.
        shape: its sizes.
        data: its elements, in C order.
    """

    dtype: str
    shape: tuple[int, ...]
    data: memoryview

    @classmethod
    def of(cls, array: Array) -> Packed:
        """Pack an array; it is copied only where it is not contiguous."""
        flat = np.ascontiguousarray(array)
        return cls(array.dtype.name, array.shape, flat.reshape(-1).view(np.uint8).data)

    def array(self) -> Array:
        """The array, a copy.

        Raises:
            ValueError, TypeError: where dtype, shape and bytes do not fit each other.
        """
        return np.frombuffer(self.data, numpy_dtype(self.dtype)).reshape(self.shape).copy()


class Wire:
    """Sends and receives messages over a socket.

    Args:
        connected: to the other process.
    """

    def __init__(self, connected: socket) -> None:
        self._socket = connected
        self._encoder = msgspec.msgpack.Encoder()

    def send(self, message: Any) -> None:
        """Send a message.

        Raises:
            OSError: where the other process is gone.
        """
        data = self._encoder.encode(message)
        self._socket.sendall(LENGTH.pack(len(data)))
        self._socket.sendall(data)

    def receive(self, kind: type[T] | Any) -> T:
        """The next message.

        Args:
            kind: what it must be.

        Raises:
            EOFError: where the other process is gone.
            msgspec.ValidationError: where it is something else.
        """
        (length,) = LENGTH.unpack(self._take(LENGTH.size))
        message: T = msgspec.msgpack.decode(self._take(length), type=kind)
        return message

    def _take(self, count: int) -> bytearray:
        """So many bytes; memory is taken as they come, whatever is announced."""
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(min(PIECE, count - len(parts)))
            if not part:
                raise EOFError
            parts += part
        return parts

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
