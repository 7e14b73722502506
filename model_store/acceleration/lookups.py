"""Encoders as tables: for each category of a column the numbers that come out, found by asking the encoder.

Whatever an encoder does with categories it never saw, with rare ones and with missing ones stands in its table. It
is asked for all categories of one column while the others stay, so each output has to depend on one column only.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from sklearn.base import BaseEstimator, TransformerMixin

from model_store.acceleration.domains import Domain
from model_store.acceleration.operators import chosen, constant, double, flat, give, op
from model_store.acceleration.report import Unconvertible

#: Numbers in all tables of an encoder: a program takes many times its size in the server.
MOST_CELLS = 250_000
Array = NDArray[Any]


class Lookup(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Stands for an encoder.

    Attributes:
        domains, tables: of each column; a table has a row for each value and a column for each output that depends
            on it.
        order: of the outputs, among those of all tables side by side.
    """

    def __init__(self, domains: Sequence[Domain], tables: Sequence[Array], order: Array) -> None:
        self.domains = domains
        self.tables = tables
        self.order = order

    def transform(self, _rows: Any) -> Any:
        """Makes it a transformer for skl2onnx; nobody calls it."""
        raise NotImplementedError


def lookup_of(domains: Sequence[Domain], encode: Callable[[Array], Array]) -> Lookup:
    """The tables of an encoder.

    Args:
        domains: of its columns.
        encode: from numbers, rows x columns, to what the encoder gives for the values behind them.

    Raises:
        Unconvertible: an output depends on several columns, or there are too many of them.
    """
    start = np.array([domain.values[domain.asked][0] for domain in domains])
    usual = encode(start[None, :])[0]
    found = [_varied(column, domain, start, encode) for column, domain in enumerate(domains)]
    moves = np.array([[_differs(rows[:, out], usual[out]) for out in range(len(usual))] for rows in found])
    if (moves.sum(axis=0) > 1).any():
        raise Unconvertible("an encoder looks at several columns at once")
    owner = np.argmax(moves, axis=0)  # what never changes belongs to the first column
    tables = [rows[:, owner == column] for column, rows in enumerate(found)]
    if sum(table.size for table in tables) > MOST_CELLS:
        raise Unconvertible("its encoders have very many categories")
    return Lookup(domains, tables, np.argsort(np.argsort(owner, kind="stable"), kind="stable"))


def _varied(column: int, domain: Domain, start: Array, encode: Callable[[Array], Array]) -> Array:
    """What comes out for each value of a column; for those that are never asked, what comes out for the first."""
    rows = np.repeat(start[None, :], len(domain.values), axis=0)
    rows[:, column] = np.where(domain.asked, domain.values, start[column])
    return encode(rows)


def _differs(found: Array, usual: float) -> bool:
    return bool(np.any(~((found == usual) | (np.isnan(found) & np.isnan(usual)))))


def register() -> None:
    """Tell skl2onnx of `Lookup`."""
    import skl2onnx

    skl2onnx.update_registered_converter(
        Lookup, "WsgiServiceLookup", _set_shape, _convert, parser=None, overwrite=True
    )


def _set_shape(operator: Any) -> None:
    width = len(operator.raw_operator.order)
    operator.outputs[0].type = operator.inputs[0].type.__class__([None, width])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    lookup = operator.raw_operator
    rows = operator.inputs[0].full_name
    parts = [
        _looked_up(scope, container, chosen(scope, container, rows, [index]), domain, table)
        for index, (domain, table) in enumerate(zip(lookup.domains, lookup.tables, strict=True))
        if table.shape[1]
    ]
    together = parts[0] if len(parts) == 1 else op(scope, container, "Concat", parts, axis=1)
    if not np.array_equal(lookup.order, np.arange(len(lookup.order))):
        together = chosen(scope, container, together, lookup.order.tolist())
    give(operator, container, together, 0)


def _looked_up(scope: Any, container: Any, column: str, domain: Domain, table: Array) -> str:
    """The rows of the table for the values of a column, rows x outputs."""
    if domain.placed:
        place = flat(scope, container, op(scope, container, "Cast", [column], to=TensorProto.INT64))
        return op(scope, container, "Gather", [constant(scope, container, table), place], axis=0)
    values = constant(scope, container, domain.values[None, :])
    which = double(scope, container, op(scope, container, "Equal", [column, values]))
    # Less than a value that is equal, and more than those that are not: the last one stands for all others.
    otherwise = constant(scope, container, np.eye(1, len(domain.values), len(domain.values) - 1) / 2)
    place = op(scope, container, "ArgMax", [op(scope, container, "Add", [which, otherwise])], axis=1, keepdims=0)
    return op(scope, container, "Gather", [constant(scope, container, table), place], axis=0)
