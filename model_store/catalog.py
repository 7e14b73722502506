"""The use cases of the store: publish, describe, activate, delete, sweep.

A catalog joins a registry (rows), a place for artifacts (bytes) and an inspector (judgement). The database row
is the commit point: bytes without a row are garbage that a sweep removes, rows without bytes never exist.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import UNSET

from model_store.artifacts.local import Artifacts, Staged
from model_store.entities import (
    NATIVE,
    ONNX,
    Attribution,
    Draft,
    Engine,
    Facts,
    Guard,
    Inspection,
    Model,
    Version,
    check_annotations,
    check_name,
    check_version,
    now,
    unguarded,
)
from model_store.environment import OnDrift, drift
from model_store.errors import (
    ArtifactCorrupt,
    EnvironmentDrift,
    Implausible,
    InvalidExamples,
    NotAccelerated,
    RehearsalFailed,
    StorageError,
)
from model_store.inspection import Inspector
from model_store.naming import check_class_names, rename_columns
from model_store.proof.examples import Examples, Mismatch, wanted
from model_store.proof.rehearsal import Rehearsal
from model_store.publication import Publication, mistakes, silence, tried, upload_key, with_examples
from model_store.registry import Registry

#: Seconds that bytes without a row are left alone: an upload that is under way must not be swept.
ORPHAN_AGE = 3600.0
#: Seconds that an upload's key is remembered.
KEY_AGE = 86400.0


class Catalog:
    """Everything one can do with models and versions."""

    def __init__(
        self, registry: Registry, artifacts: Artifacts, inspector: Inspector, on_drift: OnDrift = "warn"
    ) -> None:
        self.registry = registry
        self.artifacts = artifacts
        self._inspector = inspector
        self._on_drift = on_drift

    def described(self, version: Version) -> Version:
        """A version with what is to be known about it here and now: releases that are others than they were."""
        if self._on_drift == "allow":
            return version
        drifted = tuple(str(entry) for entry in drift(version.format, version.fitted, version.environment))
        return msgspec.structs.replace(version, warnings=(*drifted, *version.warnings)) if drifted else version

    def create_model(self, name: str, description: str | None, tags: Any, by: Attribution) -> Model:
        """Add an empty model. Raises InvalidName, InvalidMetadata or ModelExists."""
        check_annotations(description, tags)
        model = Model(name=check_name(name), description=description, tags=tags or {})
        return self.registry.create_model(model, by)

    def update_model(self, name: str, changes: dict[str, Any], by: Attribution, guard: Guard = unguarded) -> Model:
        """Change description or tags; null takes one back. Raises ModelNotFound or InvalidMetadata."""
        check_annotations(changes.get("description"), changes.get("tags"))
        values = changes | ({"tags": changes["tags"] or {}} if "tags" in changes else {})
        return self.registry.update_model(name, values, by, guard)

    def delete_model(self, name: str, by: Attribution, guard: Guard = unguarded) -> None:
        """Delete a model with all its versions. Raises ModelNotFound."""
        digests = self.registry.delete_model(name, by, guard)
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
            version, new = self._publish(model, staged, by, options)
            return self.described(version), new
        finally:
            self.artifacts.discard(staged)

    def _publish(self, model: str, staged: Staged, by: Attribution, options: Publication) -> tuple[Version, bool]:
        if options.number is not None:
            check_version(options.number)
            if same := self.registry.check_free(model, options.number, staged.digest):
                return self._healed(same, staged, by), False
        key = upload_key(model, staged, options)
        if key is not None and (earlier := self.registry.answered(key)):
            return earlier, True
        draft = self._judge(staged, options)
        self.artifacts.keep(staged)
        try:
            return self.registry.add_version(
                model,
                draft,
                by,
                number=options.number,
                key=key,
                confirm=lambda: self.artifacts.confirm(staged.digest),
            )
        except BaseException:
            with suppress(StorageError):  # the sweep takes it later
                self.registry.release([staged.digest], self.artifacts.unlink)
            raise

    def _healed(self, version: Version, staged: Staged, by: Attribution) -> Version:
        """A version whose stored bytes were damaged gets them back from whoever uploads the same again."""
        try:
            self.artifacts.verify(version.digest)
        except (ArtifactCorrupt, StorageError):
            self.artifacts.keep(staged)
        if version.state != "corrupt":
            return version
        return self.registry.update_version(version.model, version.version, {"state": "ready"}, by)

    def _judge(self, staged: Staged, options: Publication) -> Draft:
        found = self._inspector.inspect(staged.path, options.column_names)
        check_class_names(found.facts.schema, options.class_names)
        self._check_drift(found)
        if options.examples is None:
            examples, notes, faults = None, silence(found), found.facts.faults
        else:
            examples, notes, faults = self._rehearse(staged, found.facts, options)
        return Draft(
            digest=staged.digest,
            size=staged.size,
            facts=with_examples(found.facts, examples, notes, faults),
            safety=found.safety,
            class_names=options.class_names,
            examples=examples,
            proven=not notes and not faults,
        )

    def _check_drift(self, found: Inspection) -> None:
        """Raises EnvironmentDrift where the operator wants that."""
        if self._on_drift == "refuse" and (drifted := drift(found.facts.format, found.facts.fitted, {})):
            raise EnvironmentDrift(
                f"{drifted[0]} This server takes only models of the releases that it runs.", found.safety
            )

    def _rehearse(
        self, staged: Staged, facts: Facts, options: Publication
    ) -> tuple[Examples, tuple[str, ...], tuple[str, ...]]:
        """The examples of an upload with their outputs, what is to be said of them, and what makes no sense."""
        assert options.examples is not None  # noqa: S101 - the caller has looked
        given = options.examples.read(facts, options.class_names)
        try:
            whole, wrong = tried(
                given, facts, lambda methods: self._inspector.answers(staged, facts, given.rows, methods)
            )
        except RehearsalFailed as error:
            raise InvalidExamples(f"The model does not answer its examples: {error}") from error
        except Implausible as error:
            return given, (), facts.faults or (str(error),)
        return whole, mistakes(whole, wrong), facts.faults

    def set_examples(
        self,
        version: Version,
        given: Examples,
        rehearsal: Rehearsal,
        by: Attribution,
        guard: Guard = unguarded,
    ) -> tuple[Examples, list[Mismatch]]:
        """Give a version examples; outputs that are not given are recorded from its first answers.

        Returns the examples with all outputs, and those that it answers otherwise than was given.

        Raises:
            InvalidExamples: they do not fit the version.
            RehearsalFailed, ArtifactCorrupt: the version does not answer them.
            Implausible: its answers make no sense.
        """
        whole, wrong = tried(given, version, lambda methods: rehearsal.answers(version, given.rows, methods, by))
        self.registry.set_examples(version.model, version.version, whole, by, guard)
        return whole, wrong

    def update_version(
        self, model: str, number: int, changes: dict[str, Any], by: Attribution, guard: Guard = unguarded
    ) -> Version:
        """Change description, tags, class_names, column_names or engine; null takes one back.

        Raises:
            VersionNotFound: there is no such version.
            InvalidMetadata: names that do not fit the estimator.
            NotAccelerated: the engine is not there for this version.
        """
        check_annotations(changes.get("description"), changes.get("tags"))
        version = self.registry.version(model, number)
        values = dict(changes)
        if "class_names" in values:
            check_class_names(version.schema, values["class_names"])
        if values.get("engine"):
            self._check_engine(version, values["engine"])
        if "column_names" in values:
            values["schema"] = rename_columns(version.schema, values.pop("column_names"))
        if "tags" in values:
            values["tags"] = values["tags"] or {}
        return self.described(self.registry.update_version(model, number, values, by, guard))

    def _check_engine(self, version: Version, engine: Engine) -> None:
        if engine == NATIVE and version.format == ONNX:
            raise NotAccelerated("This version is an ONNX program itself, so there is no estimator to answer.")
        if engine == NATIVE or version.format == ONNX or version.program is not UNSET:
            return
        report = self.registry.acceleration(version.model, version.version)
        reason = report.reason if report and report.reason else "No program was proven for this version yet."
        raise NotAccelerated(
            f"{reason} To try it again: POST /models/{version.model}/versions/{version.version}/acceleration"
        )

    def lift_quarantine(self, model: str, number: int, by: Attribution, guard: Guard = unguarded) -> Version:
        """Let a version serve again; if its answers made no sense, only if they do when they are judged anew.

        Raises:
            VersionNotFound, NotQuarantined: there is no such version, or no quarantine.
            Implausible: its answers make no sense, with the releases that run here.
            ArtifactCorrupt, RehearsalFailed, Refused: they cannot be judged.
        """
        version = self.registry.version(model, number)
        if version.faults:
            self._judge_again(version)
        return self.registry.lift_quarantine(model, number, by, guard, sensible=bool(version.faults))

    def _judge_again(self, version: Version) -> None:
        """Raises Implausible if the answers of a stored version make no sense now."""
        self.artifacts.verify(version.digest)
        path = self.artifacts.path(version.digest)
        facts = self._inspector.inspect(path, None).facts
        if facts.faults:
            raise Implausible(f"Its answers make no sense still: {' '.join(facts.faults)}")
        examples = self.registry.examples(version.model, version.version)
        if examples is not None:
            described = msgspec.structs.replace(facts, schema=version.schema)
            staged = Staged(path, version.digest, version.size)
            self._inspector.answers(staged, described, examples.rows, wanted(version.methods))

    def delete_version(self, model: str, number: int, by: Attribution, guard: Guard = unguarded) -> None:
        """Delete a version and retire its number. Raises VersionNotFound or VersionInUse."""
        digests = self.registry.delete_version(model, number, by, guard)
        self.registry.release(digests, self.artifacts.unlink)

    def sweep(self, older_than: float = ORPHAN_AGE) -> None:
        """Remove what interrupted uploads left behind; nothing that a row refers to."""
        self.artifacts.sweep_staged(older_than)
        self.registry.release(self.artifacts.digests(older_than), self.artifacts.unlink)
        self.registry.forget_answers(now(-KEY_AGE), now(KEY_AGE))
