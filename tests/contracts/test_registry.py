"""What every registry must do, whatever database it lies in. To add a backend, add it to BACKENDS."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from model_store.acceleration.report import PROOF, Acceleration, Live, Program
from model_store.chain import first_break
from model_store.entities import Attribution, Draft, Facts, Model, Patience, UploadKey, now
from model_store.errors import (
    AliasMoved,
    AliasNotFound,
    Implausible,
    KeyReused,
    ModelExists,
    ModelNotFound,
    NothingBefore,
    NotQuarantined,
    StorageError,
    TokenExists,
    TokenNotFound,
    VersionExists,
    VersionInUse,
    VersionNotFound,
    VersionRetired,
)
from model_store.proof.checks import Check, Checks
from model_store.proof.examples import Examples
from model_store.registry import Registry
from model_store.safety import Finding, Report
from model_store.schema import Column, Schema
from model_store.sql.registry import SqlRegistry
from model_store.tokens import issue

pytestmark = pytest.mark.system

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
    assert registry.delete_version("iris", 2, BY) == {"sha256:a"}
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


def test_what_makes_no_sense_is_in_quarantine_from_the_first(registry: Registry) -> None:
    sensible = draft()
    faulty = msgspec.structs.replace(sensible, facts=msgspec.structs.replace(sensible.facts, faults=("No.",)))
    version, _ = registry.add_version("iris", faulty, BY)
    assert (version.state, version.faults, version.aliases) == ("quarantined", ("No.",), ())
    assert registry.events("iris")[-1].after == {"faults": ["No."]}
    with pytest.raises(Implausible, match="make no sense"):
        registry.set_alias("iris", "live", 1, BY)
    with pytest.raises(Implausible):
        registry.lift_quarantine("iris", 1, BY)
    lifted = registry.lift_quarantine("iris", 1, BY, sensible=True)
    assert (lifted.state, lifted.faults) == ("ready", ())
    assert registry.set_alias("iris", "live", 1, BY)[0].version == 1


def activated(registry: Registry, *numbers: int) -> None:
    """Versions 1 to 4, and `live` moved to these in turn."""
    for letter in "abcd":
        registry.add_version("iris", draft(f"sha256:{letter}"), BY)
    for number in numbers:
        registry.set_alias("iris", "live", number, BY)


def go_back(registry: Registry) -> int:
    target = registry.previous("iris", "live")
    return registry.roll_back("iris", "live", target, BY).version


def test_each_event_carries_the_hash_of_the_one_before(registry: Registry) -> None:
    activated(registry, 2, 3)
    registry.create_model(Model(name="other"), BY)
    registry.set_alias("iris", "live", 1, BY)
    events = registry.events("iris")
    assert [event.previous for event in events] == [None, *(event.hash for event in events[:-1])]
    assert first_break(events) is None


def test_a_changed_event_breaks_the_chain_where_it_was_changed(registry: Registry) -> None:
    activated(registry, 2, 3)
    events = registry.events("iris")
    for index in range(len(events)):
        changed = msgspec.structs.replace(events[index], actor="somebody else")
        assert first_break([*events[:index], changed, *events[index + 1 :]]) == changed
        assert (
            index == len(events) - 1 or first_break([*events[:index], *events[index + 1 :]]) == events[index + 1]
        )


def test_an_event_keeps_what_was_changed_and_no_more(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    registry.update_version("iris", 1, {"description": "first"}, BY)
    event = registry.events("iris")[-1]
    assert (event.before, event.after) == ({"description": None}, {"description": "first"})
    registry.update_model("iris", {"tags": ["a"]}, BY)
    event = registry.events("iris")[-1]
    assert (event.before, event.after) == ({"tags": {}}, {"tags": ["a"]})


def test_events_come_in_pages(registry: Registry) -> None:
    activated(registry, 2)
    events = registry.events("iris")
    assert registry.events("iris", 3) == events[:3]
    assert registry.events("iris", 3, events[2].id) == events[3:6]


def test_an_event_says_why(registry: Registry) -> None:
    registry.create_model(Model(name="iris"), Attribution("ann", "request-1", "to try it"))
    assert registry.events("iris")[-1].reason == "to try it"


def test_going_back_goes_to_what_it_pointed_to_before(registry: Registry) -> None:
    activated(registry, 2, 3)
    assert go_back(registry) == 2
    event = registry.events("iris")[-1]
    assert (event.action, event.before, event.after) == ("roll-back", {"version": 3}, {"version": 2})


def test_going_back_again_goes_one_activation_further_until_there_is_none(registry: Registry) -> None:
    activated(registry, 2, 3)
    assert [go_back(registry), go_back(registry)] == [2, 1]
    with pytest.raises(NothingBefore):
        registry.previous("iris", "live")


def test_a_new_activation_goes_back_to_what_it_replaced(registry: Registry) -> None:
    activated(registry, 2, 3)
    go_back(registry)
    registry.set_alias("iris", "live", 4, BY)
    assert [go_back(registry), go_back(registry)] == [2, 1]


def test_going_back_comes_to_each_version_once(registry: Registry) -> None:
    activated(registry, 2, 1, 3)
    assert [go_back(registry), go_back(registry)] == [1, 2]
    with pytest.raises(NothingBefore):
        registry.previous("iris", "live")


def test_going_back_passes_over_deleted_versions(registry: Registry) -> None:
    activated(registry, 2, 3)
    registry.delete_version("iris", 2, BY)
    assert go_back(registry) == 1


def test_an_alias_that_was_made_anew_has_nothing_before_it(registry: Registry) -> None:
    activated(registry, 2)
    registry.delete_alias("iris", "live", BY)
    registry.set_alias("iris", "live", 3, BY)
    with pytest.raises(NothingBefore):
        registry.previous("iris", "live")
    with pytest.raises(AliasNotFound):
        registry.previous("iris", "test")


def test_going_back_to_anything_else_is_refused(registry: Registry) -> None:
    activated(registry, 2, 3)
    with pytest.raises(AliasMoved):
        registry.roll_back("iris", "live", 1, BY)
    assert registry.alias("iris", "live").version == 3


def test_an_alias_that_points_there_already_is_not_moved(registry: Registry) -> None:
    activated(registry, 2)
    before, revision = registry.alias("iris", "live"), registry.revision()
    assert registry.set_alias("iris", "live", 2, BY) == (before, False)
    assert registry.revision() == revision


class Refusal(Exception):
    """Raised by guards here."""


def test_a_guard_sees_what_is_there_and_can_stop_each_change(registry: Registry) -> None:
    activated(registry, 2, 3)
    seen = []

    def refuse(there: object) -> None:
        seen.append(there)
        raise Refusal

    model, version = registry.model("iris"), registry.version("iris", 1)
    alias, revision = registry.alias("iris", "live"), registry.revision()
    for change in (
        lambda: registry.update_model("iris", {"description": "x"}, BY, refuse),
        lambda: registry.delete_model("iris", BY, refuse),
        lambda: registry.update_version("iris", 1, {"description": "x"}, BY, refuse),
        lambda: registry.delete_version("iris", 1, BY, refuse),
        lambda: registry.set_alias("iris", "live", 1, BY, guard=refuse),
        lambda: registry.roll_back("iris", "live", 2, BY, refuse),
        lambda: registry.delete_alias("iris", "live", BY, refuse),
        lambda: registry.set_alias("iris", "test", 1, BY, guard=refuse),
        lambda: registry.set_examples("iris", 1, Examples(rows=((1.0,),)), BY, refuse),
    ):
        with pytest.raises(Refusal):
            change()
    assert seen == [model, model, version, version, alias, alias, alias, None, None]
    assert registry.revision() == revision


def proven() -> Acceleration:
    return Acceleration(
        verdict="passed", rows=2000, program=Program(digest="sha256:p", size=3, methods=("predict",), proof=PROOF)
    )


def test_a_proven_program_answers_until_the_estimator_is_pinned(registry: Registry) -> None:
    added, _ = registry.add_version("iris", draft(), BY)
    assert (added.engine, added.acceleration, registry.acceleration("iris", 1)) == ("native", UNSET, None)
    version = registry.set_acceleration("iris", 1, proven(), BY)
    assert (version.engine, version.acceleration, version.program) == ("onnx", "passed", proven().program)
    assert registry.acceleration("iris", 1) == proven()
    pinned = registry.update_version("iris", 1, {"engine": "native"}, BY)
    assert (pinned.engine, pinned.pinned, pinned.program) == ("native", "native", proven().program)
    assert registry.update_version("iris", 1, {"engine": None}, BY).engine == "onnx"
    with pytest.raises(VersionNotFound):
        registry.set_acceleration("iris", 2, proven(), BY)


def test_a_program_of_an_earlier_proof_does_not_answer(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    earlier = Program(digest="sha256:p", size=3, methods=("predict",))
    version = registry.set_acceleration("iris", 1, Acceleration(verdict="passed", program=earlier), BY)
    assert (version.engine, version.program) == ("native", earlier)


def test_what_was_compared_on_live_rows_adds_up_and_is_no_change(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    registry.note_compared("iris", 1, Live(rows=1, at="before"))  # there is no report to add it to
    registry.set_acceleration("iris", 1, proven(), BY)
    revision = registry.revision()
    registry.note_compared("iris", 1, Live(rows=100, at="then"))
    registry.note_compared("iris", 1, Live(rows=3, differences=1, answered=7, left=2, at="now"))
    report = registry.acceleration("iris", 1)
    assert report is not None
    assert report.live == Live(rows=103, differences=1, answered=7, left=2, at="now")
    assert registry.revision() == revision
    assert registry.set_acceleration("iris", 1, proven(), BY).version == 1
    assert registry.acceleration("iris", 1) == proven()
    with pytest.raises(VersionNotFound):
        registry.note_compared("iris", 2, Live())


def test_a_program_that_is_not_proven_does_not_answer(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    for verdict in ("pending", "failed"):
        version = registry.set_acceleration("iris", 1, Acceleration(verdict=verdict, reason="so"), BY)
        assert (version.engine, version.acceleration, version.program) == ("native", verdict, UNSET)
    assert registry.events("iris")[-1].after == {"engine": "native", "acceleration": "failed", "program": None}


def test_a_program_whose_bytes_are_gone_is_not_kept(registry: Registry) -> None:
    def gone() -> None:
        raise StorageError("gone")

    registry.add_version("iris", draft(), BY)
    with pytest.raises(StorageError):
        registry.set_acceleration("iris", 1, proven(), BY, gone)
    assert registry.acceleration("iris", 1) is None


def test_a_program_is_released_with_its_version_and_not_before(registry: Registry) -> None:
    released: list[str] = []
    for _ in range(2):
        registry.add_version("iris", draft(), BY)
    registry.set_acceleration("iris", 2, proven(), BY)
    registry.release(["sha256:p", "sha256:a"], released.append)
    assert released == []
    assert registry.delete_version("iris", 2, BY) == {"sha256:a", "sha256:p"}
    registry.release(["sha256:p", "sha256:a"], released.append)
    assert released == ["sha256:p"]
    registry.set_acceleration("iris", 1, proven(), BY)
    assert registry.delete_model("iris", BY) == {"sha256:a", "sha256:p"}


def some_examples() -> Examples:
    return Examples(rows=((1.0,), (None,)), outputs={"predict": ["a", "b"]}, given=("predict",), tolerance=0.5)


def test_examples_are_read_back_and_replaced(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    assert registry.examples("iris", 1) is None
    registry.set_examples("iris", 1, some_examples(), BY)
    assert registry.examples("iris", 1) == some_examples()
    registry.set_examples("iris", 1, Examples(rows=((2.0,),)), BY)
    assert registry.examples("iris", 1) == Examples(rows=((2.0,),))
    assert registry.events("iris")[-1].action == "set-examples"
    with pytest.raises(VersionNotFound):
        registry.set_examples("iris", 2, some_examples(), BY)


def test_examples_come_with_a_version_and_go_with_it(registry: Registry) -> None:
    registry.add_version("iris", msgspec.structs.replace(draft(), examples=some_examples()), BY)
    assert registry.examples("iris", 1) == some_examples()
    registry.add_checks(a_check())
    registry.delete_model("iris", BY)
    registry.add_version("iris", draft(), BY)
    assert (registry.examples("iris", 2), registry.checks("iris", 2)) == (None, [])


def test_a_version_that_is_not_proven_does_not_get_live(registry: Registry) -> None:
    registry.add_version("iris", msgspec.structs.replace(draft(), proven=False), BY)
    assert registry.aliases("iris") == []


def a_check(number: int = 0) -> Checks:
    loads = Check(check="loads", status="passed", message="It loads.", details={"a": [1, None]})
    return Checks(
        model="iris",
        version=1,
        alias="live",
        against=None,
        verdict="passed",
        moved=False,
        checks=(loads,),
        at="2026-11-21T00:00:00.000Z",
        seconds=number,
    )


def test_the_last_reports_are_kept_newest_first(registry: Registry) -> None:
    registry.add_version("iris", draft(), BY)
    for number in range(25):
        registry.add_checks(a_check(number))
    assert [report.seconds for report in registry.checks("iris", 1)] == list(range(24, 4, -1))
    registry.set_alias("iris", "test", 1, BY, checks=a_check(30))
    assert registry.checks("iris", 1)[0] == msgspec.structs.replace(
        a_check(30), at=registry.checks("iris", 1)[0].at
    )


def test_an_upload_with_a_key_is_answered_once(registry: Registry) -> None:
    key = UploadKey("iris k", "sha256:f")
    assert registry.answered(key) is None
    first = registry.add_version("iris", draft(), BY, key=key)
    registry.update_version("iris", 1, {"description": "later"}, BY)
    assert registry.add_version("iris", draft(), BY, key=key) == first
    assert registry.answered(key) == first[0]
    assert len(registry.versions("iris")) == 1
    with pytest.raises(KeyReused):
        registry.add_version("iris", draft("sha256:b"), BY, key=UploadKey("iris k", "sha256:g"))


def test_keys_are_forgotten(registry: Registry) -> None:
    key = UploadKey("iris k", "sha256:f")
    registry.add_version("iris", draft(), BY, key=key)
    registry.forget_answers(now(-60), now(60))
    assert registry.answered(key) is not None
    registry.forget_answers(now(60), now(120))
    assert registry.answered(key) is None


def test_a_key_of_the_future_is_forgotten_too(registry: Registry) -> None:
    """It was kept when the clock was ahead."""
    key = UploadKey("iris k", "sha256:f")
    registry.add_version("iris", draft(), BY, key=key)
    registry.forget_answers(now(-120), now(-60))
    assert registry.answered(key) is None


def test_tokens_are_kept_as_digests_and_stay_when_they_are_revoked(open_registry: Opener) -> None:
    registry, elsewhere = open_registry(), open_registry()
    made, secret = issue("ci", "write", "iris*", "2100-01-01T00:00:00.000Z")
    before = registry.revision()
    registry.add_token(made, BY)
    assert elsewhere.tokens() == [made]
    assert made.is_secret(secret)
    assert not made.is_secret(secret[:-1])
    revoked = elsewhere.revoke_token("ci", BY)
    assert registry.tokens() == [revoked]
    assert (revoked.id, revoked.ended, made.ended) == (made.id, True, False)
    assert registry.revision() == before + 2


def test_a_name_belongs_to_one_token_until_that_is_revoked(registry: Registry) -> None:
    registry.add_token(issue("ci", "read")[0], BY)
    with pytest.raises(TokenExists):
        registry.add_token(issue("ci", "admin")[0], BY)
    registry.revoke_token("ci", BY)
    second, _ = issue("ci", "admin")
    registry.add_token(second, BY)
    assert registry.revoke_token(second.id, BY).id == second.id
    for gone in ("ci", second.id, "nobody"):
        with pytest.raises(TokenNotFound):
            registry.revoke_token(gone, BY)


def test_tokens_have_a_history_that_holds_together_and_no_secret(registry: Registry) -> None:
    made, secret = issue("ci", "read")
    registry.add_token(made, BY)
    registry.revoke_token("ci", BY)
    events = registry.events("")
    assert [(event.action, event.actor) for event in events] == [("create-token", "ann"), ("revoke-token", "ann")]
    assert first_break(events) is None
    assert registry.flaws() == []
    assert not any(word in repr(events) for word in (secret, made.digest))
