"""A registry that any earlier release wrote opens, with all that was in it."""

import sqlite3
from pathlib import Path

import pytest

from model_store.chain import first_break
from model_store.entities import Attribution
from model_store.sql import migrations
from model_store.sql.registry import SqlRegistry

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


def test_a_registry_of_a_later_release_is_left_alone(folder: Path) -> None:
    path = folder / "later.db"
    SqlRegistry(f"sqlite:///{path.as_posix()}").close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE registry_state SET schema_version = 999")
    database.close()
    with pytest.raises(RuntimeError, match="schema version 999"):
        SqlRegistry(f"sqlite:///{path.as_posix()}")
