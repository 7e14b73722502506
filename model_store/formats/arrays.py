"""numpy's own array files (.npy), checked by their headers before numpy reads them.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import ast
import math
from functools import lru_cache
from typing import IO, Any

import numpy as np

MAGIC = b"\x93NUMPY"
#: numpy's own limit; a longer header is evaluated at length.
MAX_HEADER = 10_000
MAX_DIMENSIONS = 32
MAX_LENGTH = 2**31
#: Version of the format -> bytes of the header's length.
LENGTH_SIZES: dict[tuple[int, ...], int] = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
#: booleans, integers, floats, text, bytes and dates. Objects ("O") are pickles.
PLAIN = "biufcSUMm"


def fault(file: IO[bytes], size: int) -> str | None:
    """What is wrong with a .npy entry of `size` bytes, None if it is a plain array as long as its header says.

    Args:
        file: open at the beginning of the entry.
        size: bytes in the entry.
    """
    if file.read(len(MAGIC)) != MAGIC:
        return "The file has an array that is not in numpy's own format."
    try:
        shape, dtype, start = _read_header(file)
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        return "The file has an array with a header that numpy does not write."
    if not _is_plain(dtype):
        return "The file has an array of objects, which numpy would unpickle."
    if not _is_sound(shape):
        return "The file has an array with an impossible shape."
    if start + math.prod(shape) * dtype.itemsize != size:
        return "The file has an array that is not as long as its header claims."
    return None


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, dtype, and where the values begin. Raises ValueError and others for what is no header."""
    version = tuple(file.read(2))
    size = LENGTH_SIZES[version]
    length = int.from_bytes(file.read(size), "little")
    if length > MAX_HEADER:
        raise ValueError("too long")
    text = file.read(length).decode("utf-8" if version == (3, 0) else "latin1")
    return *_parse(text), len(MAGIC) + len(version) + size + length


@lru_cache(maxsize=1024)  # the arrays of a forest have few headers between them
def _parse(text: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    header = ast.literal_eval(text.strip())
    if set(header) != {"descr", "fortran_order", "shape"} or type(header["fortran_order"]) is not bool:
        raise ValueError("not a header")
    shape = header["shape"]
    if not (isinstance(shape, tuple) and all(type(length) is int for length in shape)):
        raise ValueError("not a shape")
    return shape, np.lib.format.descr_to_dtype(header["descr"])


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Numbers, text and dates, and records of them such as a tree's nodes."""
    if dtype.subdtype is not None:
        return _is_plain(dtype.subdtype[0])
    if dtype.fields is not None:
        return all(_is_plain(field[0]) for field in dtype.fields.values())
    return dtype.kind in PLAIN and dtype.itemsize > 0


def _is_sound(shape: tuple[int, ...]) -> bool:
    return len(shape) <= MAX_DIMENSIONS and all(0 <= length < MAX_LENGTH for length in shape)
