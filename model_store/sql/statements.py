"""The SQL statements that the registry's transactions are made of; each runs in its caller's transaction."""

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection, Row, func, insert, select, update

from model_store.acceleration.report import Acceleration
from model_store.entities import (
    LIVE,
    MAX_VERSION,
    NATIVE,
    ONNX,
    Action,
    Alias,
    Attribution,
    Draft,
    Engine,
    Facts,
    Model,
    State,
    Version,
    now,
)
from model_store.errors import AliasNotFound, ModelNotFound, VersionExists, VersionNotFound, VersionRetired
from model_store.sql import tables
from model_store.sql.log import log

models, versions, retired = tables.models, tables.versions, tables.retired
aliases = tables.aliases


def model_exists(connection: Connection, name: str) -> bool:
    """Whether there is a model of that name."""
    query = select(models.c.name).where(models.c.name == name)
    return connection.execute(query).first() is not None


def model_row(connection: Connection, name: str) -> Row[Any]:
    """A model's row. Raises ModelNotFound."""
    row = connection.execute(select(models).where(models.c.name == name)).first()
    if row is None:
        raise ModelNotFound.named(name)
    return row


def insert_model(connection: Connection, name: str, description: str | None, tags: Any) -> None:
    """Add a model's row."""
    values = {"name": name, "description": description, "tags": tags, "created_at": now()}
    connection.execute(insert(models).values(**values, live_deleted=0))


def read_models(connection: Connection, rows: Collection[Row[Any]]) -> list[Model]:
    """Models from their rows, with their counts and aliases."""
    names = [row.name for row in rows]
    counts = _counts(connection, names)
    pointers = _pointers(connection, names)
    return [
        Model(
            name=row.name,
            description=row.description,
            tags=row.tags,
            versions=counts.get(row.name, 0),
            aliases=pointers.get(row.name, {}),
            created_at=row.created_at,
        )
        for row in rows
    ]


def _counts(connection: Connection, names: list[str]) -> dict[str, int]:
    query = (
        select(versions.c.model, func.count().label("number"))
        .where(versions.c.model.in_(names))
        .group_by(versions.c.model)
    )
    return {row.model: row.number for row in connection.execute(query).all()}


def _pointers(connection: Connection, names: list[str]) -> dict[str, dict[str, int]]:
    query = select(aliases).where(aliases.c.model.in_(names)).order_by(aliases.c.alias)
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(query).all():
        found.setdefault(row.model, {})[row.alias] = row.version
    return found


def described(model: Model) -> dict[str, Any]:
    """What an event keeps of a model."""
    return {"description": model.description, "tags": model.tags}


def is_version(model: str, number: int) -> Any:
    """The condition that picks one version."""
    return (versions.c.model == model) & (versions.c.version == number)


def read_version(connection: Connection, model: str, number: int) -> Version:
    """One version. Raises VersionNotFound."""
    row = connection.execute(select(versions).where(is_version(model, number))).first()
    if row is None:
        raise VersionNotFound(f"The model '{model}' has no version {number}.")
    return read_versions(connection, model, [row])[0]


def read_versions(connection: Connection, model: str, rows: Collection[Row[Any]]) -> list[Version]:
    """Versions of one model from their rows, with their aliases."""
    pointing: dict[int, list[str]] = {}
    for alias, number in _pointers(connection, [model]).get(model, {}).items():
        pointing.setdefault(number, []).append(alias)
    return [_version_of(row, tuple(pointing.get(row.version, ()))) for row in rows]


def _version_of(row: Row[Any], names: tuple[str, ...]) -> Version:
    facts = msgspec.convert(row.facts, Facts)
    acceleration = None if row.acceleration is None else msgspec.convert(row.acceleration, Acceleration)
    return Version(
        model=row.model,
        version=row.version,
        state=row.state,
        digest=row.digest,
        size=row.size,
        class_names=UNSET if row.class_names is None else tuple(row.class_names),
        engine=_engine_of(facts, row.pinned, acceleration),
        pinned=row.pinned or UNSET,
        acceleration=acceleration.verdict if acceleration else UNSET,
        program=acceleration.program if acceleration else UNSET,
        description=row.description,
        tags=row.tags,
        aliases=names,
        created_at=row.created_at,
        **msgspec.structs.asdict(facts),
    )


def _engine_of(facts: Facts, pinned: Engine | None, acceleration: Acceleration | None) -> Engine:
    if facts.format == ONNX:
        return ONNX
    proven = acceleration is not None and acceleration.program is not UNSET and acceleration.program.current
    return ONNX if proven and pinned != NATIVE else NATIVE


def version_exists(connection: Connection, model: str, number: int) -> bool:
    """Whether there is a version of that number."""
    query = select(versions.c.version).where(is_version(model, number))
    return connection.execute(query).first() is not None


def check_version(connection: Connection, model: str, number: int) -> None:
    """Raises ModelNotFound or VersionNotFound."""
    model_row(connection, model)
    if not version_exists(connection, model, number):
        raise VersionNotFound(f"The model '{model}' has no version {number}.")


def set_state(connection: Connection, model: str, number: int, state_: State) -> None:
    """Change the state of a version."""
    connection.execute(update(versions).where(is_version(model, number)).values(state=state_))


def senseless(version: Version) -> str:
    """Why no alias can point to a version whose answers make no sense."""
    return f"The answers of version {version.version} make no sense: {' '.join(version.faults)}"


def absolve(connection: Connection, version: Version) -> None:
    """Let a version serve again, with nothing against it."""
    facts = msgspec.convert(version, Facts, from_attributes=True)
    absolved = msgspec.to_builtins(msgspec.structs.replace(facts, faults=()))
    which = is_version(version.model, version.version)
    connection.execute(update(versions).where(which).values(state="ready", facts=absolved))


def next_number(connection: Connection, model: str) -> int:
    """The highest number ever used for this model plus one."""
    highest = [
        connection.execute(select(func.max(table.c.version)).where(table.c.model == model)).scalar()
        for table in (versions, retired)
    ]
    number = max(number or 0 for number in highest) + 1
    if number > MAX_VERSION:
        raise VersionRetired(f"The model '{model}' has used its last version number, {MAX_VERSION}.")
    return number


def check_free(connection: Connection, model: str, number: int, digest: str) -> Version | None:
    """See `Registry.check_free`."""
    row = connection.execute(select(versions).where(is_version(model, number))).first()
    if row is None:
        _check_not_retired(connection, model, number)
        return None
    if row.digest == digest:
        return read_versions(connection, model, [row])[0]
    raise VersionExists(
        f"Version {number} of '{model}' exists with other bytes, and a version never changes. "
        f"Upload under a new number, or POST to /models/{model}/versions to have the server number it."
    )


def _check_not_retired(connection: Connection, model: str, number: int) -> None:
    query = select(retired.c.version).where((retired.c.model == model) & (retired.c.version == number))
    if connection.execute(query).first() is not None:
        raise VersionRetired(
            f"Version {number} of '{model}' was deleted, and a deleted number is never used again. "
            f"POST to /models/{model}/versions to have the server choose the next one."
        )


def insert_version(connection: Connection, model: str, number: int, draft: Draft) -> None:
    """Add a version's row."""
    connection.execute(
        insert(versions).values(
            model=model,
            version=number,
            state="quarantined" if draft.facts.faults else "ready",
            digest=draft.digest,
            size=draft.size,
            facts=msgspec.to_builtins(draft.facts),
            safety=msgspec.to_builtins(draft.safety),
            class_names=draft.class_names,
            tags={},
            created_at=now(),
        )
    )


def column_values(version: Version, changes: dict[str, Any]) -> dict[str, Any]:
    """Changes of a version as values of its row."""
    values = dict(changes)
    if "engine" in values:
        values["pinned"] = values.pop("engine")
    if "schema" in values:
        facts = msgspec.convert(version, Facts, from_attributes=True)
        changed = msgspec.structs.replace(facts, schema=values.pop("schema"))
        values["facts"] = msgspec.to_builtins(changed)
    return values


def annotations(version: Version) -> dict[str, Any]:
    """What an event keeps of a version."""
    return {
        "state": version.state,
        "description": version.description,
        "tags": version.tags,
        "class_names": None if version.class_names is UNSET else list(version.class_names),
        "engine": None if version.pinned is UNSET else version.pinned,
        "column_names": list(version.schema.column_names),
    }


def is_alias(model: str, alias: str) -> Any:
    """The condition that picks one alias."""
    return (aliases.c.model == model) & (aliases.c.alias == alias)


def read_alias(row: Row[Any]) -> Alias:
    """An alias from its row."""
    return Alias(**row._mapping)


def find_alias(connection: Connection, model: str, alias: str) -> Alias:
    """One alias. Raises AliasNotFound."""
    row = connection.execute(select(aliases).where(is_alias(model, alias))).first()
    if row is None:
        raise AliasNotFound(f"The model '{model}' has no alias '{alias}'.")
    return read_alias(row)


def move_alias(
    connection: Connection,
    model: str,
    alias: str,
    number: int,
    before: Alias | None,
    by: Attribution,
    forced: bool = False,
) -> None:
    """Point an alias to a version, and write that down."""
    point(connection, model, alias, number, before)
    log(
        connection, by, Action.MOVE_ALIAS, model, version=number, alias=alias,
        before={"version": before.version if before else None},
        after={"version": number} | ({"forced": True} if forced else {}),
    )  # fmt: skip


def point(connection: Connection, model: str, alias: str, number: int, before: Alias | None) -> None:
    """Write where an alias points that pointed to `before`, without an event."""
    values = {"version": number, "updated_at": now()}
    if before is None:
        connection.execute(insert(aliases).values(model=model, alias=alias, **values))
    else:
        connection.execute(update(aliases).where(is_alias(model, alias)).values(**values))


def give_live(connection: Connection, model: str, number: int, by: Attribution) -> None:
    """Point `live` to a version if there is no such alias and nobody deleted it by hand."""
    deleted = connection.execute(select(models.c.live_deleted).where(models.c.name == model)).scalar()
    there = connection.execute(select(aliases.c.version).where(is_alias(model, LIVE))).first()
    if not deleted and there is None:
        move_alias(connection, model, LIVE, number, None, by)
