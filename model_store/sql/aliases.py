"""The transactions about aliases."""

from sqlalchemy import Connection, delete, select, update

from model_store.entities import LIVE, Action, Alias, Attribution, Guard, unguarded
from model_store.errors import AliasMoved, AliasNotFound, Implausible, NothingBefore
from model_store.proof.checks import Checks
from model_store.sql import evidence, statements, tables
from model_store.sql.connection import reading
from model_store.sql.log import log, trail
from model_store.sql.transactions import Transactions

models, aliases = tables.models, tables.aliases


class AliasTransactions(Transactions):
    """See `Registry`."""

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

    def set_alias(
        self,
        model: str,
        alias: str,
        number: int,
        by: Attribution,
        *,
        guard: Guard = unguarded,
        checks: Checks | None = None,
    ) -> tuple[Alias, bool]:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            version = statements.read_version(connection, model, number)
            if version.faults:
                raise Implausible(statements.senseless(version))
            before = _find(connection, model, alias)
            guard(before)
            if checks is not None:
                evidence.insert_checks(connection, checks)
            if before is None or before.version != number:
                forced = checks is not None and checks.forced
                statements.move_alias(connection, model, alias, number, before, by, forced)
            return statements.find_alias(connection, model, alias), before is None

    def previous(self, model: str, alias: str) -> int:
        """See `Registry`."""
        with reading(self._engine) as connection:
            statements.model_row(connection, model)
            statements.find_alias(connection, model, alias)
            return _previous(connection, model, alias)

    def roll_back(self, model: str, alias: str, number: int, by: Attribution, guard: Guard = unguarded) -> Alias:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            before = statements.find_alias(connection, model, alias)
            guard(before)
            if _previous(connection, model, alias) != number:
                raise AliasMoved("The alias was moved meanwhile. Look where it points now, and try again.")
            statements.point(connection, model, alias, number, before)
            log(
                connection, by, Action.ROLL_BACK, model, version=number, alias=alias,
                before={"version": before.version}, after={"version": number},
            )  # fmt: skip
            return statements.find_alias(connection, model, alias)

    def delete_alias(self, model: str, alias: str, by: Attribution, guard: Guard = unguarded) -> None:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            before = statements.find_alias(connection, model, alias)
            guard(before)
            connection.execute(delete(aliases).where(statements.is_alias(model, alias)))
            if alias == LIVE:
                connection.execute(update(models).where(models.c.name == model).values(live_deleted=1))
            log(connection, by, Action.DELETE_ALIAS, model, alias=alias, before={"version": before.version})


def _find(connection: Connection, model: str, alias: str) -> Alias | None:
    try:
        return statements.find_alias(connection, model, alias)
    except AliasNotFound:
        return None


def _previous(connection: Connection, model: str, alias: str) -> int:
    """The version that an alias pointed to before, of those that are still there. Raises NothingBefore."""
    for number in reversed(trail(connection, model, alias)[:-1]):
        if statements.version_exists(connection, model, number):
            return number
    raise NothingBefore(f"The alias '{alias}' has nothing to go back to. Point it to a version instead.")
