"""Bodies that are made to take memory: what they may take is counted, together and before they take it."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain
from typing import Any

import hostile_bodies
import models
import pytest
from conftest import LiveServer, StrictClient
from hypothesis import given
from hypothesis import strategies as st

from wsgi_service.client import Client
from wsgi_service.errors import Busy, TooLargeDecoded
from wsgi_service.http.budget import Budget, Claim, size_for
from wsgi_service.rows.formats import json_body, json_pieces
from wsgi_service.rows.unread import Reading
from wsgi_service.server.adjusting import HELD_AT_ONCE

MEGABYTE = 1 << 20
LIMIT = 2
#: What docs/security.md adds for what nobody counts, beside bodies and what they become.
UNCOUNTED = 100 * MEGABYTE
REFUSED = {400, 413, 414, 422, 503}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server for bodies of 2 MB, with the model `iris`."""
    server = LiveServer(
        tmp_path_factory.mktemp("attacked"), "--predict-limit", str(LIMIT), "--acceleration", "off"
    )
    with Client(server.url) as client:
        client.push(models.iris(), "iris")
    yield server
    server.stop()


@pytest.mark.live
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux says the most memory that a process had")
@pytest.mark.parametrize("format_", hostile_bodies.FORMATS)
def test_hostile_bodies_take_no_more_memory_than_is_promised(attacked: LiveServer, format_: str) -> None:
    """Of each format, 28 at once: room for bodies, the budget for decoding, and what docs/security.md adds."""
    if format_ in {"Parquet", "Arrow"}:
        pytest.importorskip("pyarrow")
    before = resident(attacked.process.pid)
    done = hostile_bodies.attack(
        attacked.port, attacked.process.pid, format_, bodies=36, at_once=28, size=LIMIT * MEGABYTE - 1000
    )
    assert done.peak - before < HELD_AT_ONCE * LIMIT * MEGABYTE + size_for(LIMIT * MEGABYTE) + UNCOUNTED
    assert done.statuses.keys() <= REFUSED | {200}
    assert done.pulse


def resident(pid: int) -> int:
    hostile_bodies.forget_peak(pid)
    return hostile_bodies.peak_of(pid)


def test_who_finds_no_room_is_told_to_try_again(client: StrictClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """And who never will, to send less; nothing stays taken."""
    client.put_model("iris", models.iris())
    budget = Budget(MEGABYTE, patience=0.01)
    monkeypatch.setattr("wsgi_service.http.requests.Claim", lambda _: Claim(budget))
    body = b'{"instances": [%b]}' % b",".join([b'[5.1, 3.5, 1.4, "0.2"]'] * 2000)
    with Claim(budget).briefly(MEGABYTE - 1000):
        answer = client.post("/models/iris/predict", data=body, content_type="application/json")
        assert (answer.status_code, answer.json["type"]) == (503, "/problems/busy")
        assert "Retry-After" in answer.headers


def test_a_claim_that_is_forgotten_gives_everything_back() -> None:
    """Its bytes and its turn."""
    budget = Budget(100, turns=1, patience=0.01)
    claim = Claim(budget)
    claim.begin()
    claim.keep(60)
    with pytest.raises(Busy):
        Claim(budget).begin()
    with pytest.raises(Busy):
        Claim(budget).grow(50)
    with pytest.raises(TooLargeDecoded):
        Claim(budget).grow(101)
    del claim
    again = Claim(budget)
    again.begin()
    again.grow(100)


VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text()
ELEMENTS = st.recursive(
    VALUES | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.lists(ELEMENTS, max_size=30), st.integers(2, 40), st.booleans())
def test_pieces_of_a_list_are_the_list(elements: list[Any], size: int, narrow: bool) -> None:
    """Wherever they end, and whatever texts look like ends of rows."""
    import msgspec

    text = msgspec.json.encode(elements) if narrow else msgspec.json.format(msgspec.json.encode(elements))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_pieces, "PIECE", size)
        found = json_pieces.lists(
            msgspec.Raw(text), Claim(Budget(1 << 40)), json_pieces.decode_any, json_pieces.decode_value
        )
        assert list(chain.from_iterable(found)) == msgspec.json.decode(text)


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [[%b]]}' % (b"1," * 300_000 + b"1"),
        b'{"instances": [["",%b]]}' % (b"1," * 300_000 + b"1"),
        b'{"instances": [%b]}' % b",".join([b"[]"] * 300_000),
        b'{"inputs": {"a": [%b]}}' % b",".join([b"{}"] * 300_000),
        b'{"a": [%b]}' % b",".join([b"[]"] * 300_000),
        b"{%b}" % b",".join(b'"%d":1' % place for place in range(200_000)),
        b'{"dataframe_split": {"columns": [%b], "data": [[1]]}}' % b",".join([b'"a"'] * 300_000),
    ],
    ids=["a long row", "a long row with a text", "empty rows", "a column", "a record", "names", "split"],
)
def test_what_is_wrong_is_found_before_all_of_it_is_decoded(body: bytes) -> None:
    """Within a budget that is a fraction of what it would become."""
    from model_store.schema import Column, Schema

    schema = Schema(inputs=(Column(name="a", type="number"),))
    # Without the `fast` extra, a long row takes other steps and a little more.
    budget = Budget((40 if find_spec("simdjson") else 48) * MEGABYTE)
    with pytest.raises(Exception, match=r"row 0|name|column|list|rows"):
        json_body.read_sent(body, (), Claim(budget)).read(schema, Reading(100_000))
