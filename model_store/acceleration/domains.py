"""What a column can hold, as numbers (`codes`), where that is a few values and, at the most, all others."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_store.acceleration.codes import missing, unknown
from model_store.schema import Column, Scalar


class Domain(NamedTuple):
    """What one column can hold.

    Attributes:
        values: one for each row of a table.
        asked: which of them requests can have.
        placed: whether a value is its row's number. Otherwise the last one stands for all that are not listed.
    """

    values: NDArray[np.float64]
    asked: NDArray[np.bool_]
    placed: bool


def domain_of(column: Column, texts: Sequence[str] | None) -> Domain | None:
    """The domain of a column with these texts (None: it has none); None if it can hold any number."""
    if texts is not None:
        values = np.arange(len(texts) + 2.0)
        asked = values < len(texts)
        asked[unknown(texts)], asked[missing(texts)] = not column.closed, column.nullable
        return Domain(values, asked, placed=True)
    if column.type == "boolean":
        return Domain(np.array([0.0, 1.0, np.nan]), np.array([True, True, column.nullable]), placed=False)
    if not isinstance(column.categories, tuple) or not all(_is_number(one) for one in column.categories):
        return None
    listed = [float(one) for one in column.categories if isinstance(one, int | float)]
    other = max(listed, default=0.0) + 1
    return Domain(np.array([*listed, other]), np.array([*[True] * len(listed), not column.closed]), placed=False)


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
