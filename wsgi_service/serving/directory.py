"""What predicts resolve against: models, aliases and versions in memory, so that the hot path touches no SQL."""

from msgspec import Struct

from model_store.entities import LIVE, Version
from model_store.errors import AliasNotFound, Invalid, ModelNotFound
from model_store.registry import Registry
from wsgi_service.at_once import elsewhere
from wsgi_service.serving.revision import Revision

#: Columns, categories and classes that are remembered, over all versions; then it begins anew.
MOST_KNOWN = 1_000_000


class Target(Struct, frozen=True):
    """The version that answers, and the alias it was asked for by."""

    version: Version
    alias: str | None


#: A model's name, and a number or an alias, as they were asked for.
Key = tuple[str, int | None, str | None]


class _Memory(dict[Key, Target]):
    """What was looked up in one generation of the registry, and how much of it there is."""

    def __init__(self, generation: int) -> None:
        super().__init__()
        self.generation = generation
        self.weight = 0

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
        revision: says when to forget what is remembered.
    """

    def __init__(self, registry: Registry, revision: Revision) -> None:
        self._registry = registry
        self._revision = revision
        self._known = _Memory(-1)

    def find(self, model: str | None, number: int | None, alias: str | None) -> Target:
        """The version with this number, or the one that the alias (by default `live`) points to.

        Raises:
            ModelNotFound, VersionNotFound, AliasNotFound: there is none.
            Invalid: no model was named and there is not exactly one.
        """
        generation, known = self._revision.generation(), self._known
        if known.generation != generation:
            known = self._known = _Memory(generation)
        key = (model or "", number, alias)
        return known.get(key) or self._look_up(known, key)

    def _look_up(self, known: _Memory, key: Key) -> Target:
        """Look it up; what is found now belongs to the memory of now, not to a later one."""
        elsewhere(lasting=False)
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
