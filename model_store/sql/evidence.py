"""The transactions about what speaks for a version: safety report, examples, and the checks of switches."""

from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from model_store.entities import Action, Attribution, Guard, unguarded
from model_store.proof.checks import Checks
from model_store.proof.examples import Examples
from model_store.safety import Report
from model_store.sql import statements, tables
from model_store.sql.connection import reading
from model_store.sql.log import log
from model_store.sql.transactions import Transactions

versions, examples, checks = tables.versions, tables.examples, tables.checks
#: Reports that are kept for each version; the oldest go first.
REPORTS_KEPT = 20


class EvidenceTransactions(Transactions):
    """See `Registry`."""

    def safety(self, model: str, number: int) -> Report | None:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.check_version(connection, model, number)
            query = select(versions.c.safety).where(statements.is_version(model, number))
            found = connection.execute(query).scalar()
            return None if found is None else msgspec.convert(found, Report)

    def examples(self, model: str, number: int) -> Examples | None:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.check_version(connection, model, number)
            return read_examples(connection, model, number)

    def set_examples(
        self, model: str, number: int, given: Examples, by: Attribution, guard: Guard = unguarded
    ) -> None:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            version = statements.read_version(connection, model, number)
            before = read_examples(connection, model, number)
            guard(before)
            sampled = statements.column_values(version, {"schema": version.schema.with_samples(given.rows[0])})
            connection.execute(update(versions).where(statements.is_version(model, number)).values(**sampled))
            connection.execute(delete(examples).where(_of(examples, model, number)))
            insert_examples(connection, model, number, given)
            log(
                connection, by, Action.SET_EXAMPLES, model, version=number,
                before=_summary(before), after=_summary(given),
            )  # fmt: skip

    def checks(self, model: str, number: int) -> list[Checks]:
        """See `Registry`."""
        query = select(checks.c.report).where(_of(checks, model, number)).order_by(checks.c.id.desc())
        with reading(self._engine) as connection:
            statements.check_version(connection, model, number)
            return [msgspec.convert(report, Checks) for report in connection.execute(query).scalars()]

    def add_checks(self, report: Checks) -> None:
        """See `Registry`."""
        with self._writing() as connection:
            statements.check_version(connection, report.model, report.version)
            insert_checks(connection, report)


def read_examples(connection: Connection, model: str, number: int) -> Examples | None:
    """The examples of a version, if it has any."""
    found = connection.execute(select(examples.c.content).where(_of(examples, model, number))).scalar()
    return None if found is None else msgspec.convert(found, Examples)


def insert_examples(connection: Connection, model: str, number: int, given: Examples) -> None:
    """Add a version's examples."""
    connection.execute(insert(examples).values(model=model, version=number, content=msgspec.to_builtins(given)))


def insert_checks(connection: Connection, report: Checks) -> None:
    """Add a report, and forget the oldest ones of its version."""
    plain = msgspec.to_builtins(report)
    connection.execute(insert(checks).values(model=report.model, version=report.version, report=plain))
    of_version = _of(checks, report.model, report.version)
    newest = select(checks.c.id).where(of_version).order_by(checks.c.id.desc())
    last = connection.execute(newest.offset(REPORTS_KEPT - 1).limit(1)).scalar()
    if last is not None:
        connection.execute(delete(checks).where(of_version & (checks.c.id < last)))


def forget_evidence(connection: Connection, model: str, number: int) -> None:
    """Delete what belongs to a version that is being deleted."""
    for table in (examples, checks):
        connection.execute(delete(table).where(_of(table, model, number)))


def _of(table: Any, model: str, number: int) -> Any:
    return (table.c.model == model) & (table.c.version == number)


def _summary(given: Examples | None) -> dict[str, Any] | None:
    """What an event keeps of examples."""
    return None if given is None else {"rows": len(given.rows), "given": list(given.given)}
