"""The statements about events: writing the next link of a model's history, and what follows from earlier ones."""

from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, or_, select, update

from model_store.chain import hash_of
from model_store.entities import Action, Attribution, Event, now
from model_store.sql import tables

events, state = tables.events, tables.state


def log(connection: Connection, by: Attribution, action: Action, model: str, **what: Any) -> None:
    """Write the event of a change and raise the revision; every change ends here."""
    event = Event(
        at=now(),
        actor=by.actor,
        request_id=by.request_id,
        reason=by.reason,
        action=action.value,
        model=model,
        previous=_last_hash(connection, model),
        **what,
    )
    values = msgspec.structs.asdict(event) | {"hash": hash_of(event)}
    del values["id"]
    connection.execute(insert(events).values(**values))
    connection.execute(update(state).values(revision=state.c.revision + 1))


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What an event keeps of a change: of what was and of what is, the keys that are different."""
    changed = [name for name in after if before.get(name) != after[name]]
    sides = {"before": before, "after": after}
    return {side: {name: values[name] for name in changed} for side, values in sides.items()}


def _last_hash(connection: Connection, model: str) -> str | None:
    query = select(events.c.hash).where(events.c.model == model).order_by(events.c.id.desc()).limit(1)
    return connection.execute(query).scalar()


def crashes_between(connection: Connection, model: str, number: int, since: str, until: str) -> int:
    """How often a version took a host down between two moments, and since its quarantine was last lifted."""
    of_version = (events.c.model == model) & (events.c.version == number)
    lifted = (
        select(func.max(events.c.id))
        .where(of_version & (events.c.action == Action.LIFT_QUARANTINE))
        .scalar_subquery()
    )
    query = select(func.count()).where(
        of_version
        & (events.c.action == Action.CRASH)
        & events.c.at.between(since, until)
        & (events.c.id > func.coalesce(lifted, 0))
    )
    return int(connection.execute(query).scalar_one())


def trail(connection: Connection, model: str, alias: str) -> list[int]:
    """The versions that an alias could go back through, oldest first; the last one is where it points now.

    Each version stands where it was last activated. Going back takes those after it away for good: they are not
    where a later activation would go back to. A deleted alias, or model, starts with nothing.
    """
    query = (
        select(events.c.action, events.c.version)
        .where((events.c.model == model) & or_(events.c.alias == alias, events.c.action == Action.DELETE_MODEL))
        .order_by(events.c.id)
    )
    versions: list[int] = []
    for action, version in connection.execute(query).all():
        match action:
            case Action.MOVE_ALIAS:
                versions = [*(number for number in versions if number != version), version]
            case Action.ROLL_BACK:
                versions = versions[: versions.index(version) + 1]
            case Action.DELETE_ALIAS | Action.DELETE_MODEL:
                versions = []
    return versions
