"""The transactions about versions."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select, update

from model_store.entities import Attribution, Draft, Version
from model_store.errors import VersionInUse
from model_store.safety import Report
from model_store.sql import statements, tables
from model_store.sql.connection import reading
from model_store.sql.transactions import Transactions

versions = tables.versions


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

    def safety(self, model: str, number: int) -> Report | None:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.model_row(connection, model)
            return statements.read_safety(connection, model, number)
