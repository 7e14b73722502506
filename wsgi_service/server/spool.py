"""Where a body waits until it is whole: in memory while there is room for it, else in an unnamed file."""

import io
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
from waitress.buffers import OverflowableBuffer, TempfileBasedBuffer

#: Bytes of memory that are filled with one call, before other connections are looked after.
FILLED_AT_ONCE = 1 << 20


class Held(io.RawIOBase):
    """A body of known length in memory, in one piece, filled in place.

    To Waitress it is what receives the body, and what keeps it; to the application the file that it reads.

    Args:
        length: of the body in bytes, at least 1.
        room: that it takes its memory from, and gives it back to when it is closed or forgotten.
    """

    error = None
    _room: "Room | None" = None

    def __init__(self, length: int, room: "Room") -> None:
        super().__init__()
        # As numpy allocates it, memory that nothing was sent for yet is not taken from the system.
        self._memory = np.empty(length, dtype=np.uint8).data
        self._came = self._position = 0
        self._room = room

    def __len__(self) -> int:
        return self._came

    @property
    def completed(self) -> bool:
        """Whether all of it has come."""
        return self._came == len(self._memory)

    @property
    def whole(self) -> memoryview:
        """All of it, to be read only; it stays when this is closed."""
        return self._memory.toreadonly()

    def received(self, data: bytes) -> int:
        """Take bytes from the connection; how many of them belong to the body."""
        count = min(len(data), len(self._memory) - self._came)
        self._memory[self._came : self._came + count] = data[:count]
        self.filled(count)
        return count

    def vacant(self) -> memoryview:
        """Memory to receive into, which leaves out the last byte: with that the body is whole, and handled."""
        return self._memory[self._came : min(self._came + FILLED_AT_ONCE, len(self._memory) - 1)]

    def filled(self, count: int) -> None:
        """So many bytes have come."""
        self._came += count

    def getfile(self) -> "Held":
        """The file that the application reads."""
        return self

    def getbuf(self) -> "Held":
        """What is closed when the request is over."""
        return self

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        target = memoryview(buffer).cast("B")
        piece = self._memory[self._position : self._position + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, and say which that is."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._memory)}[whence]
        self._position = max(0, start + offset)
        return self._position

    def close(self) -> None:
        """Give the room back; the memory goes when nobody looks at it any more."""
        super().close()
        room, self._room = self._room, None
        if room is not None:
            room.give_back(len(self._memory))


class Room:
    """Memory for bodies that are on their way, together.

    Args:
        size: in bytes.
        largest: that one body may have.
    """

    def __init__(self, size: int, largest: int) -> None:
        self._left = size
        self._largest = largest
        self._lock = threading.RLock()  # a body may be forgotten at any time

    def hold(self, length: int) -> Held | None:
        """Memory for a body of this length, None if it is too long or there is no room at the moment."""
        with self._lock:
            if length > min(self._left, self._largest):
                return None
            self._left -= length
        try:
            return Held(length, self)
        except MemoryError:
            self.give_back(length)
            return None

    def give_back(self, length: int) -> None:
        """There is room for so many bytes more."""
        with self._lock:
            self._left += length


class Spool(OverflowableBuffer):  # type: ignore[misc]
    """A body that moves from memory to an unnamed file in the data folder when it grows.

    Args:
        overflow: bytes from which on it is in a file.
        folder: where that is.
    """

    buf: Any

    def __init__(self, overflow: int, folder: Path) -> None:
        super().__init__(overflow)
        self._folder = folder

    def _set_large_buffer(self) -> None:
        small = self.buf
        self.buf = _SpoolFile(self._folder, small)
        if hasattr(small, "close"):
            small.close()
        self.overflowed = True


class _SpoolFile(TempfileBasedBuffer):  # type: ignore[misc]
    def __init__(self, folder: Path, from_buffer: Any) -> None:
        self._folder = folder
        super().__init__(from_buffer)

    def newfile(self) -> IO[bytes]:
        return tempfile.TemporaryFile("w+b", dir=self._folder)
