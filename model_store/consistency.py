"""Whether the registry and the artifacts hold together, and mending what can be mended."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

from msgspec import UNSET, Struct

from model_store.acceleration.report import Acceleration
from model_store.artifacts.local import Artifacts
from model_store.catalog import ORPHAN_AGE, Catalog
from model_store.chain import first_break
from model_store.entities import Attribution, Version
from model_store.errors import ArtifactCorrupt, ModelNotFound, NotFound, StorageError
from model_store.registry import Registry

BY = Attribution("check", "check", "wsgi-service check --repair")
#: Models that are read at once.
PAGE = 100
LOST = Acceleration(verdict="failed", reason="The bytes of its program were gone or damaged.")

Kind = Literal[
    "database", "missing", "damaged", "unreadable", "recovered", "program", "orphan", "leftover", "history"
]


class Flaw(Struct, frozen=True, kw_only=True):
    """One thing that does not hold together.

    Attributes:
        kind: `missing`, `damaged` and `unreadable` are bytes of a version, `recovered` are bytes that are whole
            again, `program` is a program that accelerates a version and is not whole, `orphan` and `leftover` are
            bytes that interrupted uploads left behind.
        where: the version, the model or the digest.
        message: for the person who runs the check.
        repaired: whether nothing is left to do.
    """

    kind: Kind
    where: str
    message: str
    repaired: bool = False


def check(
    catalog: Catalog, repair: bool = False, older_than: float = ORPHAN_AGE, tell: Callable[[int], Any] = int
) -> Iterator[Flaw]:
    """Everything that is wrong, as it is found. Safe while the store is in use.

    Args:
        catalog: what to check.
        repair: mend it: versions get the state that their bytes are in, and what uploads left behind is removed.
        older_than: seconds for which bytes without a row are left alone, because their upload may be under way.
        tell: told after each version how many were checked since it was told last.
    """
    registry, artifacts = catalog.registry, catalog.artifacts
    for message in registry.flaws():
        yield Flaw(kind="database", where="registry", message=message)
    for version in _all_versions(registry):
        yield from _check_version(version, registry, artifacts, repair)
        tell(1)
    yield from _check_histories(registry)
    yield from _check_leftovers(catalog, repair, older_than)


def _all_versions(registry: Registry) -> Iterator[Version]:
    after = ""
    while models := registry.models(PAGE, after):
        for model in models:
            with suppress(ModelNotFound):  # somebody deleted it meanwhile
                yield from registry.versions(model.name)
        after = models[-1].name


def _check_version(version: Version, registry: Registry, artifacts: Artifacts, repair: bool) -> Iterator[Flaw]:
    found = _bytes_of(version.digest, artifacts)
    where = f"{version.model} version {version.version}"
    try:
        now = registry.version(version.model, version.version)
    except NotFound:
        return  # somebody deleted it meanwhile
    if found is not None:
        # Nothing here brings bytes back; the state at least keeps them from being served.
        if repair and found[0] != "unreadable":
            registry.note_damage(now, BY)
        yield Flaw(kind=found[0], where=where, message=found[1])
    elif now.state == "corrupt":
        if repair:
            registry.update_version(version.model, version.version, {"state": "ready"}, BY)
        message = "Its bytes are whole again, and it is not served."
        yield Flaw(kind="recovered", where=where, message=message, repaired=repair)
    if now.program is not UNSET and (wrong := _bytes_of(now.program.digest, artifacts)):
        if repair and wrong[0] != "unreadable":
            registry.set_acceleration(version.model, version.version, LOST, BY)
        message = "The bytes of its program are gone or damaged, so its estimator answers itself."
        yield Flaw(kind="program", where=where, message=message, repaired=repair and wrong[0] != "unreadable")


def _bytes_of(digest: str, artifacts: Artifacts) -> tuple[Kind, str] | None:
    """What is wrong with the bytes of a digest, if anything is."""
    advice = "Upload them again, or restore them from a backup."
    try:
        artifacts.open(digest).close()
    except ArtifactCorrupt:
        return "missing", f"Its bytes are gone. {advice}"
    except StorageError:
        return "unreadable", f"Its bytes cannot be read. Look after the disk. {advice}"
    try:
        artifacts.verify(digest)
    except ArtifactCorrupt:
        return "damaged", f"Its bytes are damaged. {advice}"
    except StorageError:
        return "unreadable", f"Its bytes cannot be read. Look after the disk. {advice}"
    return None


def _check_histories(registry: Registry) -> Iterator[Flaw]:
    for model in registry.histories():
        if broken := first_break(registry.events(model)):
            message = f"The history was changed at or before the event of {broken.at} ({broken.action})."
            yield Flaw(kind="history", where=model or "tokens", message=message)


def _check_leftovers(catalog: Catalog, repair: bool, older_than: float) -> Iterator[Flaw]:
    orphans: list[str] = []
    catalog.registry.release(catalog.artifacts.digests(older_than), orphans.append)
    for digest in orphans:
        message = "These bytes belong to no version; a start of the server removes them."
        yield Flaw(kind="orphan", where=digest, message=message, repaired=repair)
    for name in catalog.artifacts.staged(older_than):
        message = "An upload was interrupted; a start of the server removes this."
        yield Flaw(kind="leftover", where=name, message=message, repaired=repair)
    if repair:
        catalog.sweep(older_than)
