"""A registry that any earlier release wrote opens, with all that was in it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from model_store.chain import first_break
from model_store.entities import Attribution
from model_store.sql import migrations, tables
from model_store.sql.registry import SqlRegistry, sqlite_url

pytestmark = pytest.mark.system

#: One file for each schema version before today's: what that release's database held.
REGISTRIES = Path(__file__).parent.parent / "registries"
BY = Attribution("ben", "request-2")


def opened(folder: Path, release: int) -> SqlRegistry:
    path = folder / f"{release}.db"
    with sqlite3.connect(path) as database:
        database.executescript((REGISTRIES / f"{release}.sql").read_text(encoding="utf-8"))
    database.close()
    return SqlRegistry(f"sqlite:///{path.as_posix()}")


def test_there_is_a_registry_of_every_earlier_release() -> None:
    assert sorted(path.stem for path in REGISTRIES.iterdir()) == [str(n) for n in range(1, len(migrations.STEPS))]


@pytest.mark.parametrize("release", range(1, len(migrations.STEPS)))
def test_a_registry_of_an_earlier_release_opens_and_goes_on(folder: Path, release: int) -> None:
    registry = opened(folder, release)
    try:
        assert registry.model("iris").aliases == {"live": 2}
        assert registry.version("iris", 1).description == "the first"
        assert [model.name for model in registry.models(10)] == ["iris", "other"]
        assert registry.roll_back("iris", "live", registry.previous("iris", "live"), BY).version == 1
        for name in ("iris", "other"):
            assert first_break(registry.events(name)) is None
    finally:
        registry.close()


def shape(database: Any) -> dict[str, Any]:
    """What the tables of a database or of an engine are like, in whatever order their columns stand."""
    found = inspect(database)
    return {
        table: (
            sorted((one["name"], str(one["type"]), one["nullable"]) for one in found.get_columns(table)),
            found.get_pk_constraint(table)["constrained_columns"],
            sorted(str(one["constrained_columns"]) for one in found.get_foreign_keys(table)),
            sorted((one["name"], one["column_names"]) for one in found.get_indexes(table)),
        )
        for table in found.get_table_names()
    }


@pytest.mark.parametrize("release", range(len(migrations.STEPS)))
def test_all_steps_lead_to_the_tables_of_today(folder: Path, release: int) -> None:
    """Release 0 is a database that is made now."""
    registry = opened(folder, release) if release else SqlRegistry(sqlite_url(folder / "0.db"))
    registry.close()
    made, wanted = create_engine(sqlite_url(folder / f"{release}.db")), create_engine("sqlite://")
    with closing(wanted.connect()) as connection:
        tables.metadata.create_all(connection)
        assert shape(made) == shape(connection)
    made.dispose()
    wanted.dispose()


def test_a_registry_of_a_later_release_is_left_alone(folder: Path) -> None:
    path = folder / "later.db"
    SqlRegistry(f"sqlite:///{path.as_posix()}").close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE registry_state SET schema_version = 999")
    database.close()
    with pytest.raises(RuntimeError, match="schema version 999"):
        SqlRegistry(f"sqlite:///{path.as_posix()}")
