"""The use cases of the store: publish, describe, activate, delete, sweep.

A catalog joins a registry (rows), a place for artifacts (bytes) and an inspector (judgement). The database row
is the commit point: bytes without a row are garbage that a sweep removes, rows without bytes never exist.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from model_store.artifacts import Artifacts, LocalArtifacts, Staged
from model_store.entities import (
    Attribution,
    Draft,
    Model,
    Version,
    check_name,
    check_version,
)
from model_store.errors import StorageError
from model_store.inspection import Inspector, LocalInspector
from model_store.naming import check_class_names, rename_columns
from model_store.registry import Registry
from model_store.sql.registry import SqlRegistry

#: Seconds that bytes without a row are left alone: an upload that is under way must not be swept.
ORPHAN_AGE = 3600.0


class Publication(Struct, frozen=True, kw_only=True):
    """What may come with an upload.

    Attributes:
        number: the exact version to create; without it the server numbers.
        class_names: names for people, in the order of the estimator's classes.
        column_names: names of the columns, for an estimator that was fitted without any.
    """

    number: int | None = None
    class_names: tuple[str, ...] | None = None
    column_names: tuple[str, ...] | None = None


class Catalog:
    """Everything one can do with models and versions."""

    def __init__(self, registry: Registry, artifacts: Artifacts, inspector: Inspector) -> None:
        self.registry = registry
        self.artifacts = artifacts
        self._inspector = inspector

    def create_model(self, name: str, description: str | None, tags: Any, by: Attribution) -> Model:
        """Add an empty model. Raises InvalidName or ModelExists."""
        model = Model(name=check_name(name), description=description, tags=tags or {})
        return self.registry.create_model(model, by)

    def delete_model(self, name: str, by: Attribution) -> None:
        """Delete a model with all its versions. Raises ModelNotFound."""
        digests = self.registry.delete_model(name, by)
        self.registry.release(digests, self.artifacts.unlink)

    def publish(
        self,
        model: str,
        chunks: Iterable[bytes],
        by: Attribution,
        options: Publication = Publication(),  # noqa: B008 - frozen
    ) -> tuple[Version, bool]:
        """Receive, judge and store a version; returns it and whether it is new.

        Raises:
            Refused, MissingExtra: the artifact is not taken.
            Conflict: the number is used or retired.
            StorageError: nothing was stored.
        """
        check_name(model)
        staged = self.artifacts.stage(chunks)
        try:
            return self._publish(model, staged, by, options)
        finally:
            self.artifacts.discard(staged)

    def _publish(self, model: str, staged: Staged, by: Attribution, options: Publication) -> tuple[Version, bool]:
        if options.number is not None:
            check_version(options.number)
            if same := self.registry.check_free(model, options.number, staged.digest):
                return self._healed(same, staged, by), False
        draft = self._judge(staged, options)
        self.artifacts.keep(staged)
        try:
            return self.registry.add_version(
                model,
                draft,
                by,
                number=options.number,
                confirm=lambda: self.artifacts.confirm(staged.digest),
            )
        except BaseException:
            with suppress(StorageError):  # the sweep takes it later
                self.registry.release([staged.digest], self.artifacts.unlink)
            raise

    def _healed(self, version: Version, staged: Staged, by: Attribution) -> Version:
        """A version whose stored bytes were damaged gets them back from whoever uploads the same again."""
        if version.state != "corrupt":
            return version
        self.artifacts.keep(staged)
        return self.registry.update_version(version.model, version.version, {"state": "ready"}, by)

    def _judge(self, staged: Staged, options: Publication) -> Draft:
        found = self._inspector.inspect(staged.path, options.column_names)
        check_class_names(found.facts.schema, options.class_names)
        return Draft(
            digest=staged.digest,
            size=staged.size,
            facts=found.facts,
            safety=found.safety,
            class_names=options.class_names,
        )

    def update_version(self, model: str, number: int, changes: dict[str, Any], by: Attribution) -> Version:
        """Change description, tags, class_names or column_names; null takes one back.

        Raises:
            VersionNotFound: there is no such version.
            InvalidMetadata: names that do not fit the estimator.
        """
        version = self.registry.version(model, number)
        values = dict(changes)
        if "class_names" in values:
            check_class_names(version.schema, values["class_names"])
        if "column_names" in values:
            values["schema"] = rename_columns(version.schema, values.pop("column_names"))
        if "tags" in values:
            values["tags"] = values["tags"] or {}
        return self.registry.update_version(model, number, values, by)

    def delete_version(self, model: str, number: int, by: Attribution) -> None:
        """Delete a version and retire its number. Raises VersionNotFound or VersionInUse."""
        digest = self.registry.delete_version(model, number, by)
        self.registry.release([digest], self.artifacts.unlink)

    def sweep(self, older_than: float = ORPHAN_AGE) -> None:
        """Remove what interrupted uploads left behind; nothing that a row refers to."""
        self.artifacts.sweep_staged(older_than)
        self.registry.release(self.artifacts.digests(older_than), self.artifacts.unlink)


def open_catalog(folder: Path, inspector: Inspector | None = None) -> Catalog:
    """The catalog in a data folder, which is created if it is not there."""
    artifacts = LocalArtifacts(folder)
    registry = SqlRegistry(f"sqlite:///{(folder / 'registry.db').resolve().as_posix()}")
    return Catalog(registry, artifacts, inspector or LocalInspector())
