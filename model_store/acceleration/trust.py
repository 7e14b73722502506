"""What a program may answer: rows within the ranges that were compared, and not nearer to an edge than its error.

It stands in the program itself, among its metadata, so that it belongs to the program's digest.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto

#: Under which name it stands among the metadata of a program.
KEY = "wsgi_service.trust"
#: Bytes of it.
MOST_BYTES = 1 << 22
#: The output of a program that says how far each row is from being decided otherwise.
MARGIN = "margin"
#: Numbers that are looked at faster one by one.
FEW = 64


class Trust(Struct, frozen=True, dict=True):
    """The rows that a program may answer.

    Attributes:
        low, high: the ends of each column, both trusted.
        missing: of which columns missing numbers were compared.
        least: a row with a smaller margin is the estimator's; None if the program gives no margin.
        sizes: method -> the smallest usual size of its numbers in each column; see `differences`.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    missing: tuple[bool, ...]
    least: float | None = None
    sizes: dict[str, tuple[float, ...]] = {}

    def within(self, rows: NDArray[np.float64]) -> NDArray[np.bool_] | bool:
        """Which rows (rows x columns) lie in the ranges; one value if that is the same for all."""
        if len(rows) == 1 and rows.size <= FEW and self._holds(rows[0].tolist()):
            return True
        low, high, missing = self._ends
        inside: NDArray[np.bool_] = (rows >= low) & (rows <= high)
        if np.count_nonzero(inside) == rows.size > 0:
            return True
        if missing.any():
            inside |= np.isnan(rows) & missing
        found = np.asarray(inside.all(axis=1))
        return bool(found[0]) if len(found) and (found == found[0]).all() else found

    def _holds(self, row: list[float]) -> bool:
        return all(low <= value <= high for low, value, high in zip(self.low, row, self.high, strict=True))

    @cached_property
    def _ends(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        return np.array(self.low), np.array(self.high), np.array(self.missing, dtype=np.bool_)


def write(model: "ModelProto", trust: Trust) -> None:
    """Let it stand in a program."""
    model.metadata_props.add(key=KEY, value=msgspec.json.encode(trust).decode())


def read(model: "ModelProto", width: int) -> Trust | None:
    """What stands in a program of so many columns; None if nothing does. Raises ValueError for nonsense."""
    said = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    if said is None:
        return None
    found = decoded(said)
    if {len(found.low), len(found.high), len(found.missing)} != {width}:
        raise ValueError("the rows it was compared on are not those of its columns")
    return found


def decoded(said: str) -> Trust:
    """What was written. Raises ValueError for anything else."""
    if len(said) > MOST_BYTES:
        raise ValueError("what it says of the rows it was compared on is too long")
    try:
        return msgspec.json.decode(said, type=Trust)
    except msgspec.MsgspecError as error:
        raise ValueError("it does not say which rows it was compared on") from error
