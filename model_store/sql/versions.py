"""The transactions about versions."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection, delete, insert, select, update

from model_store.acceleration.report import Acceleration, Live
from model_store.entities import Action, Attribution, Draft, Guard, UploadKey, Version, unguarded
from model_store.errors import VersionInUse
from model_store.sql import idempotency, statements, tables
from model_store.sql.connection import reading, writing
from model_store.sql.evidence import forget_evidence, insert_examples
from model_store.sql.log import difference, log
from model_store.sql.transactions import Transactions

versions, retired = tables.versions, tables.retired


class VersionTransactions(Transactions):
    """See `Registry`."""

    def versions(self, model: str) -> list[Version]:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.model_row(connection, model)
            query = select(versions).where(versions.c.model == model).order_by(versions.c.version)
            return statements.read_versions(connection, model, connection.execute(query).all())

    def version(self, model: str, number: int) -> Version:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.model_row(connection, model)
            return statements.read_version(connection, model, number)

    def check_free(self, model: str, number: int, digest: str) -> Version | None:
        """See `Registry`."""
        with reading(self._engine) as connection:
            return statements.check_free(connection, model, number, digest)

    def add_version(
        self,
        model: str,
        draft: Draft,
        by: Attribution,
        *,
        number: int | None = None,
        key: UploadKey | None = None,
        confirm: Callable[[], None] = lambda: None,
    ) -> tuple[Version, bool]:
        """See `Registry`."""
        with self._writing() as connection:
            if key is not None and (earlier := idempotency.find(connection, key)):
                return earlier, True
            if number is not None and (same := statements.check_free(connection, model, number, draft.digest)):
                return same, False
            confirm()
            if not statements.model_exists(connection, model):
                statements.insert_model(connection, model, None, {})
                log(connection, by, Action.CREATE_MODEL, model)
            chosen = number or statements.next_number(connection, model)
            _insert(connection, model, chosen, draft, by)
            version = statements.read_version(connection, model, chosen)
            if key is not None:
                idempotency.keep(connection, key, version)
            return version, True

    def answered(self, key: UploadKey) -> Version | None:
        """See `Registry`."""
        with reading(self._engine) as connection:
            return idempotency.find(connection, key)

    def forget_answers(self, before: str, after: str) -> None:
        """See `Registry`."""
        with writing(self._engine) as connection:
            idempotency.forget(connection, before, after)

    def update_version(
        self, model: str, number: int, changes: dict[str, Any], by: Attribution, guard: Guard = unguarded
    ) -> Version:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            before = statements.read_version(connection, model, number)
            guard(before)
            if values := statements.column_values(before, changes):
                connection.execute(update(versions).where(statements.is_version(model, number)).values(**values))
            after = statements.read_version(connection, model, number)
            changed = difference(statements.annotations(before), statements.annotations(after))
            log(connection, by, Action.UPDATE_VERSION, model, version=number, **changed)
            return after

    def acceleration(self, model: str, number: int) -> Acceleration | None:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.check_version(connection, model, number)
            query = select(versions.c.acceleration).where(statements.is_version(model, number))
            found = connection.execute(query).scalar()
            return None if found is None else msgspec.convert(found, Acceleration)

    def set_acceleration(
        self,
        model: str,
        number: int,
        report: Acceleration,
        by: Attribution,
        confirm: Callable[[], None] = lambda: None,
    ) -> Version:
        """See `Registry`."""
        with self._writing() as connection:
            before = statements.read_version(connection, model, number)
            confirm()
            program = None if report.program is UNSET else report.program.digest
            values = {"acceleration": msgspec.to_builtins(report), "program": program}
            connection.execute(update(versions).where(statements.is_version(model, number)).values(**values))
            after = statements.read_version(connection, model, number)
            log(
                connection, by, Action.ACCELERATE, model, version=number,
                before=_engine_of(before), after=_engine_of(after) | {"program": program},
            )  # fmt: skip
            return after

    def note_compared(self, model: str, number: int, live: Live) -> None:
        """See `Registry`."""
        with writing(self._engine) as connection:
            statements.check_version(connection, model, number)
            here = statements.is_version(model, number)
            found = connection.execute(select(versions.c.acceleration).where(here)).scalar()
            if found is None:
                return
            after = msgspec.convert(found.get("live", {}), Live) + live
            values = found | {"live": msgspec.to_builtins(after)}
            connection.execute(update(versions).where(here).values(acceleration=values))

    def delete_version(self, model: str, number: int, by: Attribution, guard: Guard = unguarded) -> set[str]:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            version = statements.read_version(connection, model, number)
            guard(version)
            if version.aliases:
                raise VersionInUse(
                    f"Version {number} of '{model}' cannot be deleted while an alias points to it: "
                    f"{', '.join(version.aliases)}. Move or delete the alias first."
                )
            retire(connection, model, [number])
            before = {"digest": version.digest}
            log(connection, by, Action.DELETE_VERSION, model, version=number, before=before)
            return digests_of(version)


def digests_of(version: Version) -> set[str]:
    """The blobs that a version needs."""
    return {version.digest} | (set() if version.program is UNSET else {version.program.digest})


def _engine_of(version: Version) -> dict[str, Any]:
    """What an event keeps of a version's acceleration."""
    verdict = None if version.acceleration is UNSET else version.acceleration
    return {"engine": version.engine, "acceleration": verdict}


def _insert(connection: Connection, model: str, number: int, draft: Draft, by: Attribution) -> None:
    """Write a version with everything that came with it."""
    statements.insert_version(connection, model, number, draft)
    log(connection, by, Action.UPLOAD, model, version=number, after={"digest": draft.digest})
    if draft.examples is not None:
        insert_examples(connection, model, number, draft.examples)
    if draft.facts.faults:
        log(connection, by, Action.QUARANTINE, model, version=number, after={"faults": list(draft.facts.faults)})
    elif draft.proven:
        statements.give_live(connection, model, number, by)


def retire(connection: Connection, model: str, numbers: list[int]) -> None:
    """Delete versions and keep their numbers from being used again."""
    for number in numbers:
        forget_evidence(connection, model, number)
        connection.execute(delete(versions).where(statements.is_version(model, number)))
        connection.execute(insert(retired).values(model=model, version=number))
