"""What a check finds, what it mends, and copies of a whole store."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import models
import pytest
from sqlalchemy import event

from model_store.artifacts import local
from model_store.artifacts.local import LocalArtifacts
from model_store.backup import NotCopied, backup, restore
from model_store.catalog import Catalog
from model_store.consistency import Flaw, check
from model_store.entities import Attribution, Draft, Facts, Patience
from model_store.errors import StorageError
from model_store.opening import look_at, open_catalog
from model_store.publication import Publication
from model_store.schema import Column, Schema

pytestmark = pytest.mark.system

BY = Attribution("ann", "request-1")
NOW = -60.0


@pytest.fixture
def catalog(folder: Path) -> Iterator[Catalog]:
    """A store with two versions of one model, the bytes of which are `one` and `two`."""
    opened = open_catalog(folder)
    for content in (b"one", b"two"):
        publish(opened, content)
    yield opened
    opened.registry.close()


def publish(catalog: Catalog, content: bytes, model: str = "iris") -> str:
    """Add a version without looking at its bytes."""
    staged = catalog.artifacts.stage([content])
    catalog.artifacts.keep(staged)
    schema = Schema(inputs=(Column(name="x0", type="number"),))
    facts = Facts(format="skops", estimator="Any", methods=("predict",), schema=schema, environment={})
    catalog.registry.add_version(model, Draft(digest=staged.digest, size=staged.size, facts=facts), BY)
    return staged.digest


def blob(catalog: Catalog, number: int) -> Path:
    return catalog.artifacts.path(catalog.registry.version("iris", number).digest)


def found(catalog: Catalog, repair: bool = False) -> list[tuple[str, str, bool]]:
    return [(flaw.kind, flaw.where, flaw.repaired) for flaw in check(catalog, repair, NOW)]


def test_a_store_in_order_has_no_flaws(catalog: Catalog) -> None:
    told: list[int] = []
    assert list(check(catalog, older_than=NOW, tell=told.append)) == []
    assert sum(told) == 2


def test_damaged_and_missing_bytes_are_found_and_kept_from_being_served(catalog: Catalog) -> None:
    blob(catalog, 1).write_bytes(b"onE")
    blob(catalog, 2).unlink()
    wrong = [("damaged", "iris version 1", False), ("missing", "iris version 2", False)]
    assert found(catalog) == wrong
    assert catalog.registry.version("iris", 1).state == "ready"
    assert found(catalog, repair=True) == wrong
    assert [version.state for version in catalog.registry.versions("iris")] == ["corrupt", "corrupt"]


def test_bytes_that_came_back_are_served_again(catalog: Catalog) -> None:
    blob(catalog, 1).write_bytes(b"onE")
    found(catalog, repair=True)
    blob(catalog, 1).write_bytes(b"one")
    assert found(catalog) == [("recovered", "iris version 1", False)]
    assert found(catalog, repair=True) == [("recovered", "iris version 1", True)]
    assert catalog.registry.version("iris", 1).state == "ready"
    assert found(catalog) == []


def test_what_interrupted_uploads_left_is_found_and_removed(catalog: Catalog) -> None:
    catalog.artifacts.stage([b"half"])
    orphan = catalog.artifacts.stage([b"orphan"])
    catalog.artifacts.keep(orphan)
    assert list(check(catalog)) == [], "what is young may be under way"
    assert [kind for kind, *_ in found(catalog)] == ["orphan", "leftover"]
    assert {repaired for *_, repaired in found(catalog, repair=True)} == {True}
    assert found(catalog) == []


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ("UPDATE events SET actor = 'nobody' WHERE id = 2", ["history"]),
        ("UPDATE events SET reason = 'I was told to' WHERE id = 3", ["history"]),
        ("DELETE FROM events WHERE id = 2", ["database", "history"]),
        ("DELETE FROM events WHERE id = (SELECT max(id) FROM events)", ["database"]),
        ("UPDATE aliases SET version = 9", ["database"]),
    ],
)
def test_rows_that_were_changed_by_hand_are_found(
    catalog: Catalog, folder: Path, change: str, kinds: list[str]
) -> None:
    with sqlite3.connect(folder / "registry.db") as database:
        database.execute(change)
    database.close()
    assert [kind for kind, *_ in found(catalog)] == kinds


def test_bytes_are_on_the_disk_before_their_name_and_their_name_before_their_row(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut must not turn round: sync the file, rename it, sync the folders, commit."""
    order: list[str] = []

    def told(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            order.append(what)
            return call(*arguments)

        return wrapped

    monkeypatch.setattr(local.os, "fsync", told("sync file", os.fsync))
    monkeypatch.setattr(local, "_replace", told("rename", local._replace))
    monkeypatch.setattr(local, "_sync_folder", told("sync folder", lambda _folder: None))
    event.listen(catalog.registry._engine, "commit", lambda _connection: order.append("commit"))  # type: ignore[attr-defined]
    publish(catalog, b"three")
    assert order == ["sync file", "rename", "sync folder", "sync folder", "commit"]


def copied(source: Path, target: Path) -> list[str]:
    return backup(source, target, lambda _done, _total: None)


def contents(folder: Path) -> list[Flaw | str]:
    """What a check of a copy finds, and what the copy holds."""
    opened = look_at(folder)
    try:
        digests = [version.digest for version in opened.registry.versions("iris")]
        return [*check(opened, older_than=NOW), *digests]
    finally:
        opened.registry.close()


def test_a_backup_is_a_whole_store_and_restores(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    assert backup(folder, tmp_path / "copy", lambda *progress: told.append(progress)) == []
    assert told[-1] == (6, 6)
    digests = [version.digest for version in catalog.registry.versions("iris")]
    assert contents(tmp_path / "copy") == digests
    assert restore(tmp_path / "copy", tmp_path / "back", lambda *_: None) == []
    assert contents(tmp_path / "back") == digests


def test_a_backup_is_brought_up_to_date(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    copied(folder, tmp_path / "copy")
    publish(catalog, b"three")
    catalog.registry.delete_version("iris", 2, BY)
    assert copied(folder, tmp_path / "copy") == []
    assert contents(tmp_path / "copy") == [version.digest for version in catalog.registry.versions("iris")]


def test_a_backup_says_what_it_could_not_copy(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    blob(catalog, 1).write_bytes(b"onE")
    assert copied(folder, tmp_path / "copy") == [catalog.registry.version("iris", 1).digest]


def test_a_version_that_is_deleted_while_it_is_copied_is_not_in_the_backup(
    catalog: Catalog, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = LocalArtifacts.open

    def delete_first(artifacts: LocalArtifacts, digest: str) -> object:
        if any(version.version == 2 for version in catalog.registry.versions("iris")):
            catalog.delete_version("iris", 2, BY)
        return opened(artifacts, digest)

    monkeypatch.setattr(LocalArtifacts, "open", delete_first)
    assert copied(folder, tmp_path / "copy") == []
    monkeypatch.undo()
    assert contents(tmp_path / "copy") == [catalog.registry.version("iris", 1).digest]


def test_a_backup_does_not_touch_what_is_none(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    letters, other = tmp_path / "letters", tmp_path / "other"
    letters.mkdir()
    (letters / "to_ann.txt").write_text("dear", encoding="utf-8")
    live = open_catalog(other)
    digest = publish(live, b"live")
    copied(other, tmp_path / "others")
    for action in (
        lambda: copied(folder, letters),
        lambda: copied(letters, tmp_path / "copy"),
        lambda: copied(folder, other),
        lambda: copied(folder, tmp_path / "others"),
        lambda: copied(folder, folder),
        lambda: copied(folder, folder / "inside"),
        lambda: copied(folder, folder.parent),
        lambda: restore(letters, tmp_path / "new", lambda *_: None),
        lambda: restore(folder, folder, lambda *_: None),
        lambda: restore(tmp_path / "others", folder, lambda *_: None),
    ):
        with pytest.raises(NotCopied):
            action()
    assert [path.name for path in letters.iterdir()] == ["to_ann.txt"]
    assert live.registry.version("iris", 1).digest == digest
    live.artifacts.verify(digest)
    live.registry.close()
    assert contents(tmp_path / "others") == [digest]
    assert not (folder / "inside").exists()


@pytest.mark.parametrize("journal", ["registry.db-journal", "registry.db-wal"])
def test_a_restore_does_not_go_beside_the_journal_of_another_registry(
    catalog: Catalog, folder: Path, tmp_path: Path, journal: str
) -> None:
    """SQLite would apply it to the restored one."""
    copied(folder, tmp_path / "copy")
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / journal).write_bytes(b"left")
    with pytest.raises(NotCopied, match="Move it away"):
        restore(tmp_path / "copy", tmp_path / "back", lambda *_: None)


def test_damage_in_a_backup_is_mended_by_the_next_one(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    copied(folder, tmp_path / "copy")
    copy = LocalArtifacts(tmp_path / "copy")
    digest = catalog.registry.version("iris", 1).digest
    copy.path(digest).write_bytes(b"onE")
    assert copied(folder, tmp_path / "copy") == []
    copy.verify(digest)


@pytest.mark.parametrize("content", [b"", b"this is no database" * 100])
def test_a_registry_that_is_none_is_not_copied(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "registry.db").write_bytes(content)
    for action in (copied, lambda *folders: restore(*folders, lambda *_: None)):
        with pytest.raises(NotCopied):
            action(tmp_path / "bad", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_backup_is_not_served(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    copied(folder, tmp_path / "copy")
    with pytest.raises(StorageError, match="is a backup"):
        open_catalog(tmp_path / "copy")


def test_artifacts_without_a_registry_are_not_taken_for_garbage(catalog: Catalog, folder: Path) -> None:
    catalog.registry.close()
    (folder / "registry.db").write_bytes(b"")
    with pytest.raises(StorageError, match="registry is missing or empty"):
        open_catalog(folder)
    assert len(list((folder / "blobs").glob("*/*"))) == 2


@pytest.mark.parametrize("name", ["with space", "what?mode=ro", "100%20", "a#b"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    if os.name == "nt" and "?" in name:
        pytest.skip("no such name on Windows")
    opened = open_catalog(tmp_path / name)
    digest = publish(opened, b"one")
    opened.registry.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]
    assert copied(tmp_path / name, tmp_path / "copy") == []
    assert contents(tmp_path / "copy") == [digest]


def test_looking_does_not_change_what_is_looked_at(tmp_path: Path) -> None:
    for content in (b"", (Path(__file__).parent.parent / "registries" / "2.sql").read_bytes()):
        path = tmp_path / "registry.db"
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as database:
            database.executescript(content.decode())
        database.close()
        before = path.read_bytes()
        with pytest.raises(RuntimeError):
            look_at(tmp_path)
        assert path.read_bytes() == before


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "registry.db") as database:
        database.execute("CREATE TABLE letters (text)")
    database.close()
    with pytest.raises(RuntimeError, match="something else"):
        open_catalog(tmp_path)


def test_bytes_that_cannot_be_read_are_found_and_the_rest_is_checked(catalog: Catalog, tmp_path: Path) -> None:
    """A folder in the place of a file cannot be read, as a file on a failing disk."""
    blob(catalog, 1).unlink()
    blob(catalog, 1).mkdir()
    blob(catalog, 2).write_bytes(b"twO")
    assert found(catalog) == [("unreadable", "iris version 1", False), ("damaged", "iris version 2", False)]


def test_the_same_bytes_again_bring_back_what_is_gone(catalog: Catalog, folder: Path) -> None:
    line = [models.skops_bytes(models.line())]
    version, _ = catalog.publish("line", line, BY, Publication(number=1))
    catalog.artifacts.path(version.digest).unlink()
    assert catalog.publish("line", line, BY, Publication(number=1))[1] is False
    catalog.artifacts.verify(version.digest)


def test_a_version_that_is_deleted_while_it_is_checked_is_no_flaw(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = LocalArtifacts.open

    def delete_first(store: LocalArtifacts, digest: str) -> object:
        if any(version.version == 2 for version in catalog.registry.versions("iris")):
            catalog.delete_version("iris", 2, BY)
        return opened(store, digest)

    monkeypatch.setattr(LocalArtifacts, "open", delete_first)
    assert list(check(catalog, repair=True)) == []


def test_damage_is_written_down_once_and_a_quarantine_stays(catalog: Catalog) -> None:
    registry = catalog.registry
    one, two = registry.version("iris", 1), registry.version("iris", 2)
    for _ in range(3):
        registry.note_damage(one, BY)
    assert [event.action for event in registry.events("iris")].count("damage") == 1
    registry.note_crash(two, "ModelCrashed", Patience(1), BY)
    registry.note_damage(two, BY)
    assert registry.version("iris", 2).state == "quarantined"


def test_a_notebook_has_a_version_rehearsed_and_switched_to(folder: Path) -> None:
    """The use cases need no server: here everything happens in this process."""
    from model_store.proof.alias_moves import Switch, Switchboard
    from model_store.proof.examples import Examples
    from model_store.proof.rehearsal import LocalRehearsal

    catalog = open_catalog(folder)
    try:
        for number in (1, 2):
            catalog.publish("line", [models.skops_bytes(models.line())], BY, Publication(number=number))
        rehearsal = LocalRehearsal(catalog.artifacts)
        examples = Examples(rows=((1.0,), (2.0,)), outputs={"predict": [3.0, 5.0]}, given=("predict",))
        assert catalog.set_examples(catalog.registry.version("line", 2), examples, rehearsal, BY)[1] == []
        board = Switchboard(catalog.registry, rehearsal)
        done = board.activate(Switch(model="line", alias="live", version=2), BY)
        assert (done.checks.verdict, catalog.registry.alias("line", "live").version) == ("passed", 2)
        before, alias = board.roll_back("line", "live", BY)
        assert (before, alias.version) == (2, 1)
    finally:
        catalog.registry.close()
