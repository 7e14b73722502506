"""The transactions about models."""

from typing import Any

from sqlalchemy import delete, func, select, update

from model_store.entities import Action, Attribution, Guard, Model, State, unguarded
from model_store.errors import ModelExists
from model_store.sql import idempotency, statements, tables
from model_store.sql.connection import reading
from model_store.sql.log import difference, log
from model_store.sql.transactions import Transactions
from model_store.sql.versions import retire

models, versions, aliases = tables.models, tables.versions, tables.aliases


class ModelTransactions(Transactions):
    """See `Registry`."""

    def count_models(self) -> int:
        """See `Registry`."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(models)).scalar_one())

    def count_versions(self, state: State | None = None) -> int:
        """See `Registry`."""
        query = select(func.count()).select_from(versions)
        if state is not None:
            query = query.where(versions.c.state == state)
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

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
            log(connection, by, Action.CREATE_MODEL, model.name, after=statements.described(model))
            return statements.read_models(connection, [statements.model_row(connection, model.name)])[0]

    def update_model(self, name: str, changes: dict[str, Any], by: Attribution, guard: Guard = unguarded) -> Model:
        """See `Registry`."""
        with self._writing() as connection:
            before = statements.read_models(connection, [statements.model_row(connection, name)])[0]
            guard(before)
            if changes:
                connection.execute(update(models).where(models.c.name == name).values(**changes))
            after = statements.read_models(connection, [statements.model_row(connection, name)])[0]
            changed = difference(statements.described(before), statements.described(after))
            log(connection, by, Action.UPDATE_MODEL, name, **changed)
            return after

    def delete_model(self, name: str, by: Attribution, guard: Guard = unguarded) -> set[str]:
        """See `Registry`."""
        with self._writing() as connection:
            model = statements.read_models(connection, [statements.model_row(connection, name)])[0]
            guard(model)
            rows = connection.execute(
                select(versions.c.version, versions.c.digest, versions.c.program).where(versions.c.model == name)
            ).all()
            connection.execute(delete(aliases).where(aliases.c.model == name))
            retire(connection, name, [row.version for row in rows])
            connection.execute(delete(models).where(models.c.name == name))
            idempotency.forget_model(connection, name)
            log(connection, by, Action.DELETE_MODEL, name, before=statements.described(model))
            return {digest for row in rows for digest in (row.digest, row.program) if digest}
