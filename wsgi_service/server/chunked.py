"""Chunked bodies (RFC 9112, section 7.1), read in one pass and within bounds.

In the place of Waitress's receiver, which takes lines of any length, and copies what is left for every chunk.
"""

import re
from typing import Any

from waitress.utilities import BadRequest, Error

#: A chunk's size, and extensions, which nobody reads.
SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[\x09\x20-\x7e\x80-\xff]*)?")
LONGEST_LINE = 256
LARGEST_TRAILER = 8 * 1024
#: Bytes around the chunks that are taken beside as many in them.
MOST_AROUND = 64 * 1024


class Chunks:
    """Takes a chunked body apart; the interface is that of Waitress's `ChunkedReceiver`.

    Args:
        buf: takes what is in the chunks.
    """

    def __init__(self, buf: Any) -> None:
        self.buf = buf
        self.completed = False
        self.error: Error | None = None
        self._take = self._size
        #: What is left of the last line, which has not ended yet.
        self._line = b""
        self._left = 0
        self._inside = self._around = 0
        self._trailer = 0

    def __len__(self) -> int:
        return len(self.buf)

    def received(self, data: bytes) -> int:
        """Take bytes; how many of them belong to the body."""
        position = 0
        while position < len(data) and not self.completed and self.error is None:
            position = self._take(data, position)
            if self._around - self._inside > MOST_AROUND:
                self._refuse("There is more around the chunks than in them.")
        return position

    def getfile(self) -> Any:
        """What was in the chunks."""
        return self.buf.getfile()

    def getbuf(self) -> Any:
        """The same, as it is kept."""
        return self.buf

    def _size(self, data: bytes, position: int) -> int:
        line, after = self._read_line(data, position, LONGEST_LINE)
        if line is None:
            return after
        match = SIZE.fullmatch(line)
        if match is None:
            self._refuse("A line does not say a chunk's size.")
            return after
        self._left = int(match[1], 16)
        self._take = self._content if self._left else self._trailers
        return after

    def _content(self, data: bytes, position: int) -> int:
        piece = data[position : position + self._left]
        self.buf.append(piece)
        self._inside += len(piece)
        self._left -= len(piece)
        if not self._left:
            self._take = self._end
        return position + len(piece)

    def _end(self, data: bytes, position: int) -> int:
        line, after = self._read_line(data, position, 0)
        if line is not None:
            self._take = self._size
        return after

    def _trailers(self, data: bytes, position: int) -> int:
        """Fields after the last chunk are read and forgotten (section 7.1.2)."""
        line, after = self._read_line(data, position, LARGEST_TRAILER)
        if line is None:
            return after
        self._trailer += len(line)
        if self._trailer > LARGEST_TRAILER:
            self._refuse("There is too much after the last chunk.")
        self.completed = not line
        return after

    def _read_line(self, data: bytes, position: int, longest: int) -> tuple[bytes | None, int]:
        """A line without its end, None if that has not come yet; and the position behind what was read of it."""
        end = data.find(b"\n", position, position + longest + 2 - len(self._line))
        after = min(len(data), position + longest + 2 - len(self._line)) if end < 0 else end + 1
        line = self._line + data[position:after]
        self._around += after - position
        self._line = b""
        if end < 0 and len(line) < longest + 2:
            self._line = line
            return None, after
        if not line.endswith(b"\r\n"):
            self._refuse("A line between chunks does not end as it should.")
            return None, after
        return line[:-2], after

    def _refuse(self, words: str) -> None:
        self.error = BadRequest(words)
