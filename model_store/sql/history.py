"""The transactions about what happened: events, crashes and quarantines."""

from sqlalchemy import select, update

from model_store.entities import Action, Attribution, Event, Guard, Patience, State, Version, now, unguarded
from model_store.errors import Implausible, NotQuarantined
from model_store.sql import statements, tables
from model_store.sql.connection import reading
from model_store.sql.log import crashes_between, log
from model_store.sql.transactions import Transactions

events, versions = tables.events, tables.versions


class HistoryTransactions(Transactions):
    """See `Registry`."""

    def note_crash(self, version: Version, reason: str, patience: Patience, by: Attribution) -> State:
        """See `Registry`."""
        model, number = version.model, version.version
        with self._writing() as connection:
            log(connection, by, Action.CRASH, model, version=number, after={"reason": reason})
            crashes = crashes_between(connection, model, number, now(-patience.seconds), now(patience.seconds))
            if version.state != "ready" or crashes < patience.crashes:
                return version.state
            statements.set_state(connection, model, number, "quarantined")
            log(connection, by, Action.QUARANTINE, model, version=number, after={"crashes": crashes})
            return "quarantined"

    def note_damage(self, version: Version, by: Attribution) -> None:
        """See `Registry`."""
        with self._writing() as connection:
            statements.check_version(connection, version.model, version.version)
            changed = connection.execute(
                update(versions)
                .where(statements.is_version(version.model, version.version) & (versions.c.state == "ready"))
                .values(state="corrupt")
            )
            if changed.rowcount:
                log(connection, by, Action.DAMAGE, version.model, version=version.version)

    def lift_quarantine(
        self, model: str, number: int, by: Attribution, guard: Guard = unguarded, *, sensible: bool = False
    ) -> Version:
        """See `Registry`."""
        with self._writing() as connection:
            statements.model_row(connection, model)
            version = statements.read_version(connection, model, number)
            guard(version)
            if version.state != "quarantined":
                raise NotQuarantined(f"Version {number} of '{model}' is not in quarantine.")
            if version.faults and not sensible:
                raise Implausible(statements.senseless(version))
            statements.absolve(connection, version)
            log(connection, by, Action.LIFT_QUARANTINE, model, version=number)
            return statements.read_version(connection, model, number)

    def histories(self) -> list[str]:
        """See `Registry`."""
        with reading(self._engine) as connection:
            return list(connection.execute(select(events.c.model).distinct().order_by(events.c.model)).scalars())

    def events(self, model: str, limit: int | None = None, after: int = 0) -> list[Event]:
        """See `Registry`."""
        found = (events.c.model == model) & (events.c.id > after)
        query = select(events).where(found).order_by(events.c.id).limit(limit)
        with reading(self._engine) as connection:
            return [Event(**row._mapping) for row in connection.execute(query).all()]

    def newest_events(self, model: str, limit: int) -> list[Event]:
        """See `Registry`."""
        query = select(events).where(events.c.model == model).order_by(events.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [Event(**row._mapping) for row in connection.execute(query).all()]
