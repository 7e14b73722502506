"""A walk over everything that a loaded estimator is made of, without recursion."""

from collections.abc import Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np
from sklearn.neighbors import BallTree, KDTree

#: What cannot hold anything else, or is a part of a library and not of the model.
PRIMITIVE = (str, bytes, bytearray, int, float, bool, type(None), type, np.generic, np.dtype)
FOREIGN = (*PRIMITIVE, ModuleType, FunctionType, BuiltinFunctionType, MethodType, np.ufunc)


#: What rules look at in each of its places: where it stands matters, or it is replaced there.
BY_PLACE = (np.ma.MaskedArray, BallTree, KDTree)


class Place(NamedTuple):
    """A value in a model.

    Attributes:
        where: as one would write it in Python, without the model itself: `steps[1][1].coef_`.
        owner: the object or container that holds it, None for the model itself.
        key: its attribute, key or index in the owner.
    """

    where: str
    value: Any
    owner: Any = None
    key: Any = None


def walk(root: Any) -> Iterator[Place]:
    """The root and everything below it, each object once, but for those of `BY_PLACE`."""
    seen: set[int] = set()
    waiting = [Place("", root)]
    while waiting:
        place = waiting.pop()
        if isinstance(place.value, FOREIGN) or id(place.value) in seen:
            continue
        if not isinstance(place.value, BY_PLACE):
            seen.add(id(place.value))
        yield place
        waiting.extend(_below(place))


def _below(place: Place) -> Iterator[Place]:
    value, where = place.value, place.where
    if isinstance(value, dict):
        return (Place(f"{where}[{key}]", item, value, key) for key, item in value.items())
    items = _items(value)
    if items is not None:
        return (Place(f"{where}[{index}]", item, value, index) for index, item in enumerate(items))
    attributes = getattr(value, "__dict__", None) or {}
    return (Place(f"{where}.{name}".lstrip("."), item, value, name) for name, item in attributes.items())


def _items(value: Any) -> Iterable[Any] | None:
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, np.ndarray):
        return value.flat if value.dtype == object else ()
    return None
