"""The transactions about tokens."""

from sqlalchemy import Connection, insert, select, update

from model_store.entities import NO_MODEL, Action, Attribution, now
from model_store.errors import TokenExists, TokenNotFound
from model_store.sql import tables
from model_store.sql.connection import reading
from model_store.sql.log import log
from model_store.sql.transactions import Transactions
from model_store.tokens import Token

tokens = tables.tokens


class TokenTransactions(Transactions):
    """See `Registry`."""

    def tokens(self) -> list[Token]:
        """See `Registry`."""
        query = select(tokens).order_by(tokens.c.created_at, tokens.c.id)
        with reading(self._engine) as connection:
            return [Token(**row._mapping) for row in connection.execute(query).all()]

    def add_token(self, token: Token, by: Attribution) -> None:
        """See `Registry`."""
        with self._writing() as connection:
            if _held(connection, token.name):
                raise TokenExists(
                    f"There is a token named '{token.name}' already. Revoke it, or choose another name."
                )
            values = {name: getattr(token, name) for name in token.__struct_fields__}
            connection.execute(insert(tokens).values(**values))
            said = {name: value for name, value in values.items() if name != "digest" and value is not None}
            log(connection, by, Action.CREATE_TOKEN, NO_MODEL, after=said)

    def revoke_token(self, named: str, by: Attribution) -> Token:
        """See `Registry`."""
        with self._writing() as connection:
            there = (tokens.c.revoked_at.is_(None)) & ((tokens.c.id == named) | (tokens.c.name == named))
            row = connection.execute(select(tokens).where(there)).first()
            if row is None:
                raise TokenNotFound("There is no such token, or it is revoked already.")
            revoked = Token(**dict(row._mapping) | {"revoked_at": now()})
            connection.execute(
                update(tokens).where(tokens.c.id == revoked.id).values(revoked_at=revoked.revoked_at)
            )
            log(connection, by, Action.REVOKE_TOKEN, NO_MODEL, before={"id": revoked.id, "name": revoked.name})
            return revoked


def _held(connection: Connection, name: str) -> bool:
    query = select(tokens.c.id).where((tokens.c.name == name) & tokens.c.revoked_at.is_(None))
    return connection.execute(query).first() is not None
