"""What predicts resolve against: models, aliases and versions in memory, so that the hot path touches no SQL.

Each entry is remembered until the registry's revision moves. A change made through this process is seen at once,
one made by another process on the same registry within `POLL` seconds.
"""

import logging
import threading
import time

from msgspec import Struct

from model_store.entities import LIVE, Version
from model_store.errors import AliasNotFound, Invalid, ModelNotFound, StorageError
from model_store.registry import Registry
from wsgi_service.at_once import elsewhere, must_not_wait

log = logging.getLogger(__name__)

POLL = 0.1
#: Parts of that after which another thread looks for one that must not wait, and after which that was in vain.
EARLY, LATE = 0.5, 2.0
#: Columns, categories and classes that are remembered, over all versions; then it begins anew.
MOST_KNOWN = 1_000_000


class Target(Struct, frozen=True):
    """The version that answers, and the alias it was asked for by."""

    version: Version
    alias: str | None


#: A model's name, and a number or an alias, as they were asked for.
Key = tuple[str, int | None, str | None]


class _Memory(dict[Key, Target]):
    """What was looked up, and how much of it there is."""

    weight = 0

    def remember(self, key: Key, target: Target) -> None:
        """Keep an entry; where there is too much, everything else is forgotten."""
        if self.weight > MOST_KNOWN:
            self.clear()
            self.weight = 0
        self.weight += _weight(target)
        self[key] = target


class Directory:
    """A memory of the registry.

    Args:
        registry: the truth.
        poll: seconds after which the registry's revision is looked at again.
    """

    def __init__(self, registry: Registry, poll: float = POLL) -> None:
        self._registry = registry
        self._poll = poll
        self._known = _Memory()
        self._revision = -1
        self._looked = float("-inf")
        self._lock = threading.Lock()
        self._due = threading.Event()
        self._refresher: threading.Thread | None = None
        registry.subscribe(self.forget)

    def find(self, model: str | None, number: int | None, alias: str | None) -> Target:
        """The version with this number, or the one that the alias (by default `live`) points to.

        Raises:
            ModelNotFound, VersionNotFound, AliasNotFound: there is none.
            Invalid: no model was named and there is not exactly one.
        """
        self._refresh()
        key = (model or "", number, alias)
        target = self._known.get(key)
        return target or self._look_up(key)

    def forget(self) -> None:
        """Look everything up afresh from now on."""
        with self._lock:
            self._known = _Memory()
            self._revision = -1
            self._looked = float("-inf")

    def _refresh(self) -> None:
        age = time.monotonic() - self._looked
        if must_not_wait():
            self._have_refreshed(age)
        elif age >= self._poll and self._lock.acquire(blocking=False):
            self._look()

    def _have_refreshed(self, age: float) -> None:
        """Let another thread look in time, so that this one need not; if that one is late, raises Elsewhere."""
        if age >= self._poll * LATE:
            elsewhere(lasting=False)
        if age >= self._poll * EARLY:
            self._due.set()
            if self._refresher is None:
                self._refresher = threading.Thread(target=self._keep_fresh, name="directory", daemon=True)
                self._refresher.start()

    def _keep_fresh(self) -> None:
        while self._due.wait():
            self._due.clear()
            if time.monotonic() - self._looked >= self._poll * EARLY and self._lock.acquire(blocking=False):
                self._look()

    def _look(self) -> None:
        """Look at the revision; the lock is held, and let go."""
        try:
            revision = self._current_revision()
            if revision != self._revision:
                self._known = _Memory()
                self._revision = revision
            self._looked = time.monotonic()
        finally:
            self._lock.release()

    def _current_revision(self) -> int:
        """The registry's revision; the one that is known if the registry cannot be asked at the moment."""
        try:
            return self._registry.revision()
        except StorageError as error:
            if self._revision < 0:
                raise
            log.warning("predicts go on with what is in memory: %s", error)
            return self._revision

    def _look_up(self, key: Key) -> Target:
        elsewhere(lasting=False)
        known = self._known  # what is found now belongs to the memory of now, not to a later one
        model, number, alias = key
        name = model or self._only_model()
        target = self._by_number(name, number) if number is not None else self._by_alias(name, alias)
        known.remember(key, target)
        return target

    def _by_number(self, model: str, number: int) -> Target:
        return Target(self._registry.version(model, number), None)

    def _by_alias(self, model: str, alias: str | None) -> Target:
        chosen = alias or LIVE
        try:
            pointer = self._registry.alias(model, chosen)
        except AliasNotFound:
            if alias is not None or not self._registry.model(model).versions:
                raise
            raise AliasNotFound(
                f"The model '{model}' has no alias '{LIVE}', which a predict without version means. "
                f'Name a version, or set it: PUT /models/{model}/aliases/{LIVE} {{"version": …}}'
            ) from None
        return Target(self._registry.version(model, pointer.version), chosen)

    def _only_model(self) -> str:
        models = self._registry.models(limit=2)
        if not models:
            raise ModelNotFound("There is no model yet. Upload one: PUT /models/<name>/versions/1")
        if len(models) > 1:
            raise Invalid('There are several models, so the request must name one: "model": "…"')
        return models[0].name


def _weight(target: Target) -> int:
    """How much of the memory a version's description takes: its columns, categories, classes and outputs."""
    schema = target.version.schema
    categories = sum(len(column.categories) for column in schema.inputs if isinstance(column.categories, tuple))
    classes = len(schema.classes) if isinstance(schema.classes, tuple) else 0
    return len(schema.inputs) + len(schema.outputs) + categories + classes
