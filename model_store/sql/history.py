"""The transactions about what happened: events, crashes and quarantines."""

from sqlalchemy import select

from model_store.entities import Attribution, Event, Patience, State, Version, now
from model_store.errors import NotQuarantined
from model_store.sql import statements, tables
from model_store.sql.connection import reading
from model_store.sql.transactions import Transactions

events = tables.events


class HistoryTransactions(Transactions):
    """See `Registry`."""

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
