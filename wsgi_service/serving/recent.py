"""A bounded mapping: facts about versions and programs that can be found out again."""

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
#: Entries that are kept by default.
MOST = 4096


class Recent(Generic[Key, Value]):
    """A mapping that drops its oldest entry when it is full. Its methods are safe to call from any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def get(self, key: Key, otherwise: Value) -> Value:
        """The value of a key, or `otherwise`."""
        return self._kept.get(key, otherwise)

    def put(self, key: Key, value: Value) -> None:
        """Set the value of a key; drop the oldest entry if there are too many."""
        self._kept[key] = value
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def discard(self, key: Key) -> None:
        """Drop a key, if it is there."""
        self._kept.pop(key, None)

    def __len__(self) -> int:
        return len(self._kept)
