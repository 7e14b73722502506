"""What is remembered of the things that were asked for last, and no more of them than so many."""

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
#: Things of which something is remembered, as a rule; what is forgotten is found out again.
MOST = 4096


class Recent(Generic[Key, Value]):
    """A mapping that forgets what was put into it first. Each of its methods may be called by any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def get(self, key: Key, otherwise: Value) -> Value:
        """What is remembered of a thing."""
        return self._kept.get(key, otherwise)

    def put(self, key: Key, value: Value) -> None:
        """Remember something of a thing."""
        self._kept[key] = value
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def discard(self, key: Key) -> None:
        """Forget a thing."""
        self._kept.pop(key, None)

    def __len__(self) -> int:
        return len(self._kept)
