"""The registry in a SQL database: SQLite beside the blobs, or a server named by a URL."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from model_store.entities import LIVE, Alias, Attribution, Draft, Event, Model, Patience, State, Version, now
from model_store.errors import ModelExists, NotQuarantined, VersionInUse
from model_store.safety import Report
from model_store.sql import statements, tables
from model_store.sql.connection import open_engine, reading, writing

models, versions, aliases, events, state = (
    tables.models,
    tables.versions,
    tables.aliases,
    tables.events,
    tables.state,
)

#: A statement holds a bounded number of values, and a long transaction keeps others waiting.
RELEASED_AT_ONCE = 500


class SqlRegistry:
    """A `Registry` over SQLAlchemy Core. Safe to use from many threads and processes.

    Args:
        url: a SQLAlchemy URL, for example `sqlite:///var/registry.db`.
    """

    def __init__(self, url: str) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._engine = open_engine(url)
        with writing(self._engine) as connection:
            tables.migrate(connection)

    def close(self) -> None:
        """Close the pooled connections; the registry opens new ones when it is used again."""
        self._engine.dispose()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """See `Registry`."""
        self._listeners.append(listener)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction; the listeners hear of it when it is committed."""
        with writing(self._engine) as connection:
            yield connection
        for listener in self._listeners:
            listener()

    def revision(self) -> int:
        """See `Registry`."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(state.c.revision)).scalar_one())

    def count_models(self) -> int:
        """See `Registry`."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(models)).scalar_one())

    def probe(self) -> None:
        """See `Registry`."""
        with writing(self._engine) as connection:
            connection.rollback()  # that the write lock was given is the proof

    def models(self, limit: int, after: str = "") -> list[Model]:
        """See `Registry`."""
        query = select(models).where(models.c.name > after).order_by(models.c.name).limit(limit)
        with reading(self._engine) as connection:
            return statements.read_models(connection, connection.execute(query).all())

    def model(self, name: str) -> Model:
        """See `Registry`."""
        with reading(self._engine) as connection:
            return statements.read_models(connection, [statements.model_row(connection, name)])[0]

    def create_model(self, model: Model, by: Attribution) -> Model:
        """See `Registry`."""
        with self._writing() as connection:
            if statements.model_exists(connection, model.name):
                raise ModelExists(f"The model '{model.name}' exists already.")
            statements.insert_model(connection, model.name, model.description, model.tags)
            statements.log(connection, by, "create-model", model.name, after=statements.described(model))
            return statements.read_models(connection, [statements.model_row(connection, model.name)])[0]

    def update_model(self, name: str, changes: dict[str, Any], by: Attribution) -> Model:
        """See `Registry`."""
        with self._writing() as connection:
            before = statements.read_models(connection, [statements.model_row(connection, name)])[0]
            if changes:
                connection.execute(update(models).where(models.c.name == name).values(**changes))
            after = statements.read_models(connection, [statements.model_row(connection, name)])[0]
            statements.log(
                connection,
                by,
                "update-model",
                name,
                before=statements.described(before),
                after=statements.described(after),
            )
            return after

    def delete_model(self, name: str, by: Attribution) -> set[str]:
        """See `Registry`."""
        with self._writing() as connection:
            model = statements.read_models(connection, [statements.model_row(connection, name)])[0]
            rows = connection.execute(
                select(versions.c.version, versions.c.digest).where(versions.c.model == name)
            ).all()
            connection.execute(delete(aliases).where(aliases.c.model == name))
            statements.retire(connection, name, [row.version for row in rows])
            connection.execute(delete(models).where(models.c.name == name))
            statements.log(connection, by, "delete-model", name, before=statements.described(model))
            return {row.digest for row in rows}

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
        confirm: Callable[[], None] = lambda: None,
    ) -> tuple[Version, bool]:
        """See `Registry`."""
        with self._writing() as connection:
            if number is not None and (same := statements.check_free(connection, model, number, draft.digest)):
                return same, False
            confirm()
            if not statements.model_exists(connection, model):
                statements.insert_model(connection, model, None, {})
                statements.log(connection, by, "create-model", model)
            chosen = number or statements.next_number(connection, model)
            statements.insert_version(connection, model, chosen, draft)
            statements.log(connection, by, "upload", model, version=chosen, after={"digest": draft.digest})
            statements.give_live(connection, model, chosen, by)
            return statements.read_version(connection, model, chosen), True

    def update_version(self, model: str, number: int, changes: dict[str, Any], by: Attribution) -> Version:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            before = statements.read_version(connection, model, number)
            if values := statements.column_values(before, changes):
                connection.execute(update(versions).where(statements.is_version(model, number)).values(**values))
            after = statements.read_version(connection, model, number)
            statements.log(
                connection, by, "update-version", model, version=number,
                before=statements.annotations(before), after=statements.annotations(after),
            )  # fmt: skip
            return after

    def delete_version(self, model: str, number: int, by: Attribution) -> str:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            version = statements.read_version(connection, model, number)
            if version.aliases:
                raise VersionInUse(
                    f"Version {number} of '{model}' cannot be deleted while an alias points to it: "
                    f"{', '.join(version.aliases)}. Move or delete the alias first."
                )
            statements.retire(connection, model, [number])
            statements.log(
                connection,
                by,
                "delete-version",
                model,
                version=number,
                before={"digest": version.digest},
            )
            return version.digest

    def aliases(self, model: str) -> list[Alias]:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.model_row(connection, model)
            query = select(aliases).where(aliases.c.model == model).order_by(aliases.c.alias)
            return [statements.read_alias(row) for row in connection.execute(query).all()]

    def alias(self, model: str, alias: str) -> Alias:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.model_row(connection, model)
            return statements.find_alias(connection, model, alias)

    def set_alias(self, model: str, alias: str, number: int, by: Attribution) -> tuple[Alias, bool]:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            statements.read_version(connection, model, number)
            before = statements.pointed_to(connection, model, alias)
            statements.move_alias(connection, model, alias, number, before, by)
            return statements.find_alias(connection, model, alias), before is None

    def delete_alias(self, model: str, alias: str, by: Attribution) -> None:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            before = statements.find_alias(connection, model, alias)
            connection.execute(delete(aliases).where(statements.is_alias(model, alias)))
            if alias == LIVE:
                connection.execute(update(models).where(models.c.name == model).values(live_deleted=1))
            statements.log(
                connection,
                by,
                "delete-alias",
                model,
                alias=alias,
                before={"version": before.version},
            )

    def safety(self, model: str, number: int) -> Report | None:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.model_row(connection, model)
            return statements.read_safety(connection, model, number)

    def note_crash(self, version: Version, reason: str, patience: Patience, by: Attribution) -> State:
        """See `Registry`."""
        model, number = version.model, version.version
        with self._writing() as connection:
            statements.log(connection, by, statements.CRASH, model, version=number, after={"reason": reason})
            crashes = statements.crashes_since(connection, model, number, now(-patience.seconds))
            if version.state != "ready" or crashes < patience.crashes:
                return version.state
            statements.set_state(connection, model, number, "quarantined")
            statements.log(
                connection, by, statements.QUARANTINE, model, version=number, after={"crashes": crashes}
            )
            return "quarantined"

    def lift_quarantine(self, model: str, number: int, by: Attribution) -> Version:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            version = statements.read_version(connection, model, number)
            if version.state != "quarantined":
                raise NotQuarantined(f"Version {number} of '{model}' is not in quarantine.")
            statements.set_state(connection, model, number, "ready")
            statements.log(connection, by, statements.LIFT, model, version=number)
            return statements.read_version(connection, model, number)

    def events(self, model: str) -> list[Event]:
        """See `Registry`."""
        query = select(events).where(events.c.model == model).order_by(events.c.id)
        with reading(self._engine) as connection:
            return [Event(**row._mapping) for row in connection.execute(query).all()]

    def release(self, digests: Collection[str], unlink: Callable[[str], None]) -> None:
        """See `Registry`."""
        ordered = sorted(digests)
        for start in range(0, len(ordered), RELEASED_AT_ONCE):
            some = ordered[start : start + RELEASED_AT_ONCE]
            with writing(self._engine) as connection:
                query = select(versions.c.digest).where(versions.c.digest.in_(some)).distinct()
                for digest in set(some) - set(connection.execute(query).scalars()):
                    unlink(digest)
