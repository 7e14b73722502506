"""What every registry must do, whatever database it lies in. To add a backend, add it to BACKENDS."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from model_store.entities import Attribution, Draft, Facts, Model, Patience
from model_store.errors import (
    AliasNotFound,
    ModelExists,
    ModelNotFound,
    NotQuarantined,
    VersionExists,
    VersionInUse,
    VersionNotFound,
    VersionRetired,
)
from model_store.registry import Registry
from model_store.safety import Finding, Report
from model_store.schema import Column, Schema
from model_store.sql.registry import SqlRegistry

BY = Attribution("ann", "request-1")
Opener = Callable[[], SqlRegistry]


def _sqlite(folder: Path) -> SqlRegistry:
    return SqlRegistry(f"sqlite:///{(folder / 'registry.db').as_posix()}")


BACKENDS = {"sqlite": _sqlite}


@pytest.fixture(params=BACKENDS)
def open_registry(request: pytest.FixtureRequest, folder: Path) -> Iterator[Opener]:
    """Opens the same registry again and again, each time as another process would."""
    opened: list[SqlRegistry] = []

    def open_() -> SqlRegistry:
        opened.append(BACKENDS[request.param](folder))
        return opened[-1]

    yield open_
    for registry in opened:
        registry.close()


@pytest.fixture
def registry(open_registry: Opener) -> Registry:
    return open_registry()


def draft(digest: str = "sha256:a") -> Draft:
    facts = Facts(
        format="skops",
        estimator="SVC",
        methods=("predict",),
        schema=Schema(inputs=(Column(name="x0", type="number"),), classes=("a", "b")),
        environment={"python": "3"},
    )
    return Draft(digest=digest, size=3, facts=facts)


def a_report() -> Report:
    finding = Finding(rule="one-thread-only", severity="normalised", where="n_jobs", message="Is None here.")
    return Report(
        format="skops", verdict="accepted", classes=("a.B",), normalised=(finding,), seconds=0.5, memory=7
    )


def test_a_model_that_is_not_there_is_not_found(registry: Registry) -> None:
    for call in (registry.model, registry.versions, registry.aliases):
        with pytest.raises(ModelNotFound):
            call("iris")
    with pytest.raises(ModelNotFound):
        registry.delete_model("iris", BY)


def test_a_created_model_is_read_back_as_it_was_given(registry: Registry) -> None:
    created = registry.create_model(Model(name="iris", description="flowers", tags={"a": "b"}), BY)
    assert registry.model("iris") == created
    assert (created.description, created.tags, created.versions, created.aliases) == ("flowers", {"a": "b"}, 0, {})


def test_a_model_is_created_once(registry: Registry) -> None:
    registry.create_model(Model(name="iris"), BY)
    with pytest.raises(ModelExists):
        registry.create_model(Model(name="iris"), BY)


def test_models_are_listed_by_name_in_pages(registry: Registry) -> None:
    for name in ("c", "a", "b"):
        registry.create_model(Model(name=name), BY)
    assert [model.name for model in registry.models(2)] == ["a", "b"]
    assert [model.name for model in registry.models(2, after="b")] == ["c"]
    assert registry.count_models() == 3


def test_a_version_makes_its_model_and_gets_live(registry: Registry) -> None:
    version, new = registry.add_version("iris", draft(), BY)
    assert (version.version, new, version.aliases, version.state) == (1, True, ("live",), "ready")
    assert version.schema.classes == ("a", "b")
    assert registry.model("iris").aliases == {"live": 1}


def test_the_server_numbers_from_the_highest_number_ever_used(registry: Registry) -> None:
    registry.add_version("iris", draft("sha256:a"), BY)
    registry.add_version("iris", draft("sha256:b"), BY, number=7)
    registry.delete_version("iris", 7, BY)
    assert registry.add_version("iris", draft("sha256:c"), BY)[0].version == 8


def test_the_same_bytes_again_are_the_same_version(registry: Registry) -> None:
    first, _ = registry.add_version("iris", draft(), BY, number=3)
    assert registry.add_version("iris", draft(), BY, number=3) == (first, False)
    assert registry.check_free("iris", 3, "sha256:a") == first


def test_other_bytes_under_a_used_number_are_refused(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY, number=3)
    with pytest.raises(VersionExists):
        registry.add_version("iris", draft("sha256:b"), BY, number=3)
    with pytest.raises(VersionExists):
        registry.check_free("iris", 3, "sha256:b")


def test_a_deleted_number_is_never_used_again(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    registry.add_version("iris", draft(), BY)
    assert registry.delete_version("iris", 2, BY) == "sha256:a"
    with pytest.raises(VersionRetired):
        registry.add_version("iris", draft(), BY, number=2)
    with pytest.raises(VersionNotFound):
        registry.delete_version("iris", 2, BY)


def test_the_last_number_is_the_last(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY, number=2**31 - 1)
    with pytest.raises(VersionRetired, match="last version number"):
        registry.add_version("iris", draft(), BY)


def test_numbers_stay_retired_when_the_model_is_deleted(registry: Registry) -> None:
    registry.add_version("iris", draft("sha256:a"), BY)
    registry.add_version("iris", draft("sha256:b"), BY)
    assert registry.delete_model("iris", BY) == {"sha256:a", "sha256:b"}
    assert registry.models(10) == []
    version, _ = registry.add_version("iris", draft(), BY)
    assert (version.version, version.aliases) == (3, ("live",))


def test_a_version_with_an_alias_is_not_deleted(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    with pytest.raises(VersionInUse, match="live"):
        registry.delete_version("iris", 1, BY)


def test_live_does_not_come_back_once_it_was_deleted_by_hand(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    registry.delete_alias("iris", "live", BY)
    assert registry.add_version("iris", draft("sha256:b"), BY)[0].aliases == ()
    assert registry.aliases("iris") == []


def test_live_stays_where_it_is_when_versions_come(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    registry.add_version("iris", draft("sha256:b"), BY)
    assert registry.alias("iris", "live").version == 1


def test_an_alias_is_new_once_and_moves_afterwards(registry: Registry) -> None:
    registry.add_version("iris", draft("sha256:a"), BY)
    registry.add_version("iris", draft("sha256:b"), BY)
    assert registry.set_alias("iris", "test", 1, BY)[1] is True
    moved, new = registry.set_alias("iris", "test", 2, BY)
    assert (moved.version, new) == (2, False)
    assert registry.version("iris", 2).aliases == ("test",)


def test_an_alias_points_to_versions_that_are_there(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    with pytest.raises(VersionNotFound):
        registry.set_alias("iris", "live", 2, BY)
    with pytest.raises(AliasNotFound):
        registry.delete_alias("iris", "test", BY)


def test_only_the_given_keys_change_and_none_clears(registry: Registry) -> None:
    registry.create_model(Model(name="iris", description="flowers", tags=["a"]), BY)
    assert registry.update_model("iris", {"tags": ["b"]}, BY).description == "flowers"
    assert registry.update_model("iris", {"description": None}, BY).tags == ["b"]


def test_metadata_of_a_version_changes_and_its_digest_stays(registry: Registry) -> None:
    before, _ = registry.add_version("iris", draft(), BY)
    schema = Schema(inputs=(Column(name="length", type="number"),))
    after = registry.update_version("iris", 1, {"description": "first", "schema": schema}, BY)
    assert (after.description, after.schema.column_names) == ("first", ("length",))
    assert (after.digest, after.methods) == (before.digest, before.methods)


def test_each_change_writes_one_event_and_raises_the_revision(registry: Registry) -> None:
    revision = registry.revision()
    registry.add_version("iris", draft(), BY)
    registry.update_version("iris", 1, {"description": "x"}, BY)
    registry.set_alias("iris", "test", 1, BY)
    registry.delete_alias("iris", "test", BY)
    actions = [event.action for event in registry.events("iris")]
    assert actions == ["create-model", "upload", "move-alias", "update-version", "move-alias", "delete-alias"]
    assert {(event.actor, event.request_id) for event in registry.events("iris")} == {("ann", "request-1")}
    assert registry.revision() == revision + 6


def test_an_event_says_what_was_and_what_is(registry: Registry) -> None:
    registry.add_version("iris", draft("sha256:a"), BY)
    registry.add_version("iris", draft("sha256:b"), BY)
    registry.set_alias("iris", "live", 2, BY)
    event = registry.events("iris")[-1]
    assert (event.alias, event.before, event.after) == ("live", {"version": 1}, {"version": 2})


def test_a_change_that_fails_writes_nothing(registry: Registry) -> None:
    def fail() -> None:
        raise OSError

    revision = registry.revision()
    with pytest.raises(OSError):  # noqa: PT011
        registry.add_version("iris", draft(), BY, confirm=fail)
    assert (registry.models(10), registry.revision(), registry.events("iris")) == ([], revision, [])


def test_a_listener_hears_of_changes_after_they_are_committed(registry: Registry) -> None:
    heard: list[int] = []
    registry.subscribe(lambda: heard.append(registry.revision()))
    registry.create_model(Model(name="iris"), BY)
    assert heard == [1]


def test_released_are_only_digests_without_a_row(registry: Registry) -> None:
    registry.add_version("iris", draft("sha256:a"), BY)
    gone: list[str] = []
    registry.release(["sha256:a", "sha256:b"], gone.append)
    assert gone == ["sha256:b"]


def test_very_many_digests_are_released(registry: Registry) -> None:
    gone: list[str] = []
    registry.release([f"sha256:{number}" for number in range(1200)], gone.append)
    assert len(gone) == 1200


def test_another_process_sees_the_change_and_the_revision(open_registry: Opener) -> None:
    one, other = open_registry(), open_registry()
    one.add_version("iris", draft(), BY)
    assert other.version("iris", 1).digest == "sha256:a"
    assert other.revision() == one.revision()


def test_of_many_writers_of_one_version_exactly_one_wins(open_registry: Opener) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(8)

    def write(registry: SqlRegistry, digest: str) -> None:
        barrier.wait()
        try:
            _, new = registry.add_version("iris", draft(digest), BY, number=1)
            outcomes.append("created" if new else "same")
        except VersionExists:
            outcomes.append("conflict")

    threads = [threading.Thread(target=write, args=(open_registry(), f"sha256:{index % 4}")) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 6 + ["created", "same"]


def test_the_safety_report_of_an_upload_is_kept(registry: Registry) -> None:
    registry.add_version("iris", msgspec.structs.replace(draft(), safety=a_report()), BY)
    assert registry.safety("iris", 1) == a_report()
    with pytest.raises(VersionNotFound):
        registry.safety("iris", 2)
    with pytest.raises(ModelNotFound):
        registry.safety("nobody", 1)


def test_a_version_without_a_report_has_none(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    assert registry.safety("iris", 1) is None


def test_crashes_are_events_and_enough_of_them_a_quarantine(registry: Registry) -> None:
    version, _ = registry.add_version("iris", draft(), BY)
    states = [registry.note_crash(version, "ModelCrashed", Patience(3, 600.0), BY) for _ in range(3)]
    assert states == ["ready", "ready", "quarantined"]
    assert registry.version("iris", 1).state == "quarantined"
    actions = [event.action for event in registry.events("iris")]
    assert actions[-4:] == ["crash", "crash", "crash", "quarantine"]


def test_old_crashes_do_not_count(registry: Registry) -> None:
    version, _ = registry.add_version("iris", draft(), BY)
    for _ in range(5):
        assert registry.note_crash(version, "ModelCrashed", Patience(2, -1.0), BY) == "ready"


def test_crashes_of_another_version_do_not_count(registry: Registry) -> None:
    first, _ = registry.add_version("iris", draft(), BY)
    second, _ = registry.add_version("iris", draft("sha256:b"), BY)
    for version in (first, second):
        assert registry.note_crash(version, "ModelCrashed", Patience(2, 600.0), BY) == "ready"


def test_a_lifted_quarantine_counts_from_nothing(registry: Registry) -> None:
    version, _ = registry.add_version("iris", draft(), BY)
    for _ in range(2):
        registry.note_crash(version, "ModelCrashed", Patience(2, 600.0), BY)
    assert registry.lift_quarantine("iris", 1, BY).state == "ready"
    assert registry.note_crash(version, "ModelCrashed", Patience(2, 600.0), BY) == "ready"
    with pytest.raises(NotQuarantined):
        registry.lift_quarantine("iris", 1, BY)
