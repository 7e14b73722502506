"""A disk that fails costs no acknowledgement, is said, and leaves nothing behind."""

import errno
import io
from collections.abc import Iterator
from typing import Any

import models
import pytest
from conftest import StrictClient

from model_store import failpoints
from model_store.failpoints import Failure, Point
from wsgi_service.access.trusted_proxy import Forwarding
from wsgi_service.http import forms
from wsgi_service.resources import system
from wsgi_service.server import adjusting, parser, spool

pytestmark = pytest.mark.system

LINE = models.skops_bytes(models.line())
BEFORE_THE_ROW: tuple[Point, ...] = ("after_tmp_write", "after_fsync", "after_rename")


@pytest.fixture(autouse=True)
def _disarmed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(system, "PROBE_AGE", -1.0)
    yield
    failpoints.disarm()


@pytest.mark.parametrize("point", BEFORE_THE_ROW)
@pytest.mark.parametrize(("failure", "type_"), [("ENOSPC", "storage-full"), ("EIO", "storage-failed")])
def test_a_failing_disk_is_a_507_and_nothing_is_there(
    client: StrictClient, left_behind: Any, point: Point, failure: Failure, type_: str
) -> None:
    failpoints.arm(point, failure)
    answer = client.put_model("line", LINE)
    assert (answer.status_code, answer.json["type"]) == (507, f"/problems/{type_}")
    failpoints.disarm()
    assert client.get("/models/line").status_code == 404
    assert client.put_model("line", LINE).status_code == 201
    assert len(left_behind()) == 1


@pytest.mark.parametrize("failure", ["ENOSPC", "EIO"])
def test_the_server_is_not_ready_while_the_disk_fails(client: StrictClient, failure: Failure) -> None:
    assert client.get("/readyz").json["checks"]["storage"] is True
    failpoints.arm("after_tmp_write", failure)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["checks"]["storage"]) == (503, False)
    assert client.get("/healthz").status_code == 200
    failpoints.disarm()
    assert client.get("/readyz").status_code == 200


def test_a_full_database_is_a_507(client: StrictClient, app: Any) -> None:
    client.put_model("line", LINE)
    registry = app.catalog.registry
    with registry._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    registry._engine.dispose()
    from sqlalchemy import event

    def no_more_pages(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}").close()

    event.listen(registry._engine, "connect", no_more_pages)
    answers = [client.put("/models/line", json={"description": letter * 9_000}) for letter in "abcdef"]
    refused = answers[-1]
    assert (refused.status_code, refused.json["type"]) == (507, "/problems/storage-full")
    accepted = [answer.json["description"] for answer in answers if answer.status_code == 200]
    assert client.get("/models/line").json["description"] == (accepted[-1] if accepted else None)
    event.remove(registry._engine, "connect", no_more_pages)
    registry._engine.dispose()
    assert client.put("/models/line", json={"description": "x"}).status_code == 200


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_body_that_cannot_be_spooled_is_a_507(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waitress moves bodies that are too large for memory to a file before anybody else sees them."""
    monkeypatch.setattr(spool.tempfile, "TemporaryFile", full)
    reader = parser.Parser(adjusting.adjustments(app))
    reader.peer, reader.forwarding = "127.0.0.1", Forwarding("")
    head = b"PUT /models/line/versions/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000000\r\n\r\n"
    reader.decision = 1 << 30  # somebody has decided that the body may come
    reader.received(head)
    assert reader.received(b"x" * 900_000) == 900_000
    refusal = parser.Refusal.of(reader.error)
    assert (reader.completed, refusal.status[:3]) == (True, "507")
    assert b"/problems/storage-full" in refusal.content


def test_a_form_that_cannot_be_spooled_is_a_507(client: StrictClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "TemporaryFile", full)
    answer = client.put("/models/line/versions/1", data={"file": (io.BytesIO(LINE), "line.skops")})
    assert (answer.status_code, answer.json["type"]) == (507, "/problems/storage-full")


def test_a_commit_that_fails_is_no_answer_of_success(client: StrictClient, left_behind: Any) -> None:
    failpoints.arm("before_commit", "EIO")
    assert client.put_model("line", LINE).status_code >= 500
    failpoints.disarm()
    assert client.get("/models/line").status_code == 404
    assert left_behind() == []
