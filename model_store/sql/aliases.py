"""The transactions about aliases."""

from sqlalchemy import delete, select, update

from model_store.entities import LIVE, Alias, Attribution
from model_store.sql import statements, tables
from model_store.sql.connection import reading
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
