"""Categories as numbers: how the columns of a version become the one matrix that a program takes.

A text is its place among the categories of its column; a text that is not among them, and a missing one, are the
two numbers behind. Booleans are 0 and 1, and numbers are what they are. The texts stand in the program, since
another program could have the same operators and other texts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_store.schema import Column, Schema

if TYPE_CHECKING:
    from onnx import ModelProto

#: For each column the texts that it knows; None where it has numbers or booleans. A column that nothing looks at
#: knows none.
Known = tuple[tuple[str, ...] | None, ...]
#: Values and which of them are there (None: all), as a model host gets them: an array, or a list of texts.
Cells = tuple[NDArray[Any] | list[str], NDArray[np.bool_] | None]
#: Under which name the texts stand among the metadata of a program.
KEY = "wsgi_service.categories"
#: Bytes of all texts of a program.
MOST_BYTES = 1 << 20
#: Larger whole numbers have no place of their own in double precision.
EXACT = 2**53


class Codes:
    """The numbers of a program's texts.

    Args:
        known: the texts of each column.
    """

    def __init__(self, known: Known) -> None:
        self._places = [None if texts is None else {text: i for i, text in enumerate(texts)} for texts in known]

    def matrix(self, columns: Sequence[Cells]) -> NDArray[np.float64] | None:
        """Columns as rows x columns in double precision; None if they have no such numbers."""
        if len(columns) != len(self._places):
            return None
        found = [_coded(places, *cells) for places, cells in zip(self._places, columns, strict=True)]
        return None if any(one is None for one in found) else np.column_stack(found)  # type: ignore[arg-type]


def unknown(texts: Sequence[str]) -> int:
    """The number of a text that is none of these."""
    return len(texts)


def missing(texts: Sequence[str]) -> int:
    """The number of a missing one."""
    return len(texts) + 1


def known_texts(schema: Schema) -> Known:
    """The texts of each column. Raises ValueError, naming the column, if one can have any text or a date."""
    return tuple(_texts_of(column) for column in schema.inputs)


def write(model: "ModelProto", known: Known) -> None:
    """Let the texts stand in a program. Raises ValueError if they are too long for that."""
    said = msgspec.json.encode(known)
    if len(said) > MOST_BYTES:
        raise ValueError("its categories are very long")
    model.metadata_props.add(key=KEY, value=said.decode())


def read(model: "ModelProto", width: int) -> Codes | None:
    """The texts in a program of so many columns, None if there are none. Raises ValueError for other things."""
    said = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    if said is None:
        return None
    if len(said) > MOST_BYTES:
        raise ValueError("its categories are too long")
    try:
        known = msgspec.json.decode(said, type=Known)
    except msgspec.MsgspecError as error:
        raise ValueError("its categories cannot be read") from error
    if len(known) != width:
        raise ValueError("its categories are not those of its columns")
    return Codes(known)


def _texts_of(column: Column) -> tuple[str, ...] | None:
    if column.optional:
        return ()
    if column.type in ("number", "integer", "boolean", "any"):
        return None
    if column.type != "string" or not isinstance(column.categories, tuple):
        raise ValueError(column.name)
    return tuple(str(text) for text in column.categories)


def _coded(places: dict[str, int] | None, values: Any, valid: Any) -> NDArray[np.float64] | None:
    if places == {}:
        return np.zeros(len(values))
    if isinstance(values, list) != (places is not None):
        return None
    if places is not None:
        other = len(places)
        codes = np.array([places.get(text, other) for text in values], dtype=np.float64)
        return codes if valid is None else np.where(valid, codes, other + 1)
    if values.dtype.kind == "M" or (values.dtype.kind == "i" and np.abs(values).max(initial=0) > EXACT):
        return None
    numbers: NDArray[np.float64] = values.astype(np.float64)
    return numbers if valid is None else np.where(valid, numbers, np.nan)
