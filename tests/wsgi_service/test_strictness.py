"""What could be read in two ways is refused, slow clients are cut off: R3, R11 to R20 and R25 on real sockets."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import PATIENCE
from hypothesis import given
from hypothesis import strategies as st
from running import Running, until
from waitress.buffers import OverflowableBuffer
from waitress.parser import ParsingError

from wsgi_service.access.attempts import FREE
from wsgi_service.hosts.pool import HostPool
from wsgi_service.server import loop, pace
from wsgi_service.server.chunked import LARGEST_TRAILER, LONGEST_LINE, Chunks
from wsgi_service.server.framing import check_head
from wsgi_service.server.pace import GRACE, HEAD_SECONDS, SLOWEST, Pace

pytestmark = pytest.mark.system

HOST = b"Host: localhost\r\n"
#: A second request, which must never be answered.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def served(pool: HostPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("strict"), pool, acceleration="off", token="secret")
    yield running
    running.stop()


def sent(running: Running, data: bytes) -> bytes:
    """Everything that the server answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as connection:
        connection.sendall(data)
        return received(connection)


def status_of(answer: bytes) -> bytes:
    return answer.split(b" ")[1]


def received(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return answer


def chunked(*lines: bytes) -> bytes:
    return b"POST /models HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n" + b"".join(lines)


REFUSED = {
    "a lower-case method": b"get /healthz HTTP/1.1\r\n" + HOST,
    "HTTP/2.0": b"GET /healthz HTTP/2.0\r\n" + HOST,
    "HTTP/1.2": b"GET /healthz HTTP/1.2\r\n" + HOST,
    "HTTP/0.9": b"GET /healthz\r\n" + HOST,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
    "no request": b"hello\r\n",
    "two spaces": b"GET  /healthz HTTP/1.1\r\n" + HOST,
    "a tab": b"GET\t/healthz HTTP/1.1\r\n" + HOST,
    "a space in the target": b"GET /health z HTTP/1.1\r\n" + HOST,
    "a fragment": b"GET /healthz#x HTTP/1.1\r\n" + HOST,
    "a byte that is no ASCII": b"GET /health\xe9 HTTP/1.1\r\n" + HOST,
    "no address": b"GET healthz HTTP/1.1\r\n" + HOST,
    "another host in the target": b"GET http://evil.example/healthz HTTP/1.1\r\n" + HOST,
    "another scheme": b"GET ftp://localhost/healthz HTTP/1.1\r\n" + HOST,
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST,
    "two hosts": b"GET /healthz HTTP/1.1\r\n" + HOST + HOST,
    "two hosts, one in lower case": b"GET /healthz HTTP/1.1\r\n" + HOST + b"host: a\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n",
    "a folded line": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n",
    "a line that is folded first": b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n" + HOST,
    "a NUL": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n",
    "a control character": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\x0bb\r\n",
    "a DEL": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\x7fb\r\n",
    "a lone CR": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n",
    "a lone LF": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\nTransfer-Encoding: chunked\r\n",
    "a field without a name": b"GET /healthz HTTP/1.1\r\n" + HOST + b": a\r\n",
    "a field without a colon": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X\r\n",
    "a length and chunks": b"POST /models HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunks and a length": b"POST /models HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two codings": b"POST /models HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n" * 2,
    "chunked twice": b"POST /models HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked and then another": b"POST /models HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n",
    "an empty coding": b"POST /models HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: ,chunked\r\n",
    "chunks in HTTP/1.0": b"POST /models HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n",
    "a length with a sign": b"POST /models HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n",
    "a negative length": b"POST /models HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n",
    "two lengths": b"POST /models HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "two lengths in one": b"POST /models HTTP/1.1\r\n" + HOST + b"Content-Length: 5, 5\r\n",
    "a hexadecimal length": b"POST /models HTTP/1.1\r\n" + HOST + b"Content-Length: 0x5\r\n",
    "no length": b"POST /models HTTP/1.1\r\n" + HOST + b"Content-Length: \r\n",
    "a length of 5000 digits": b"POST /models HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"1" * 5000 + b"\r\n",
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_a_head_that_can_be_read_in_two_ways_is_a_400_and_the_end(served: Running, request_: bytes) -> None:
    answer = sent(served, request_ + b"\r\n" + SMUGGLED)
    assert status_of(answer) == b"400"
    assert answer.count(b"HTTP/1.") == 1
    assert b"Content-Type: application/problem+json; charset=utf-8" in answer
    assert b"Connection: close" in answer
    assert b"Server:" not in answer


@pytest.mark.parametrize(
    "beginning", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b" GET / HTTP/1.1\r\n", b"{}"]
)
def test_what_does_not_begin_like_a_request_is_not_waited_for(served: Running, beginning: bytes) -> None:
    assert status_of(sent(served, beginning)) == b"400"


def test_a_coding_that_is_not_read_is_a_501(served: Running) -> None:
    for coding in (b"gzip, chunked", b"identity", b"x"):
        head = b"POST /models HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: " + coding + b"\r\n\r\n"
        answer = sent(served, head + SMUGGLED)
        assert status_of(answer) == b"501"
        assert answer.count(b"HTTP/1.") == 1


@pytest.mark.parametrize("fields", [b"X: " + b"x" * 300_000 + b"\r\n", b"X: x\r\n" * 5000])
def test_too_much_before_the_body_is_a_431(served: Running, fields: bytes) -> None:
    assert status_of(sent(served, b"GET /healthz HTTP/1.1\r\n" + HOST + fields + b"\r\n")) == b"431"


BAD_CHUNKS = {
    "a long line": b"1" + b";x" * 10_000 + b"\r\na\r\n0\r\n\r\n",
    "a line without an end": b"1" * 20_000,
    "a sign": b"+1\r\na\r\n0\r\n\r\n",
    "a prefix": b"0x1\r\na\r\n0\r\n\r\n",
    "no size": b"\r\n1\r\na\r\n0\r\n\r\n",
    "a huge size": b"f" * 17 + b"\r\na",
    "a lone LF": b"1\na\r\n0\r\n\r\n",
    "a lone LF behind a chunk": b"1\r\na\n0\r\n\r\n",
    "a chunk that is longer than it says": b"1\r\nab\r\n0\r\n\r\n",
    "a control character": b"1;\x00\r\na\r\n0\r\n\r\n",
    "a long trailer": b"0\r\nX: " + b"x" * 65536 + b"\r\n\r\n",
    "many trailers": b"0\r\n" + b"X: x\r\n" * 10_000 + b"\r\n",
    "many tiny chunks": b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_chunks_that_are_none_or_too_many_are_a_400_and_the_end(served: Running, body: bytes) -> None:
    answer = sent(served, chunked(b"Authorization: Bearer secret\r\n\r\n", body, SMUGGLED))
    assert status_of(answer) == b"400"
    assert answer.count(b"HTTP/1.") == 1


def test_chunks_are_joined_and_what_is_around_them_is_not_kept(served: Running) -> None:
    fields = b"Authorization: Bearer secret\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    body = b'9 ;a="b"\r\n{"name": \r\nA\r\n"chunked"}\r\n0\r\nX: trailer\r\n\r\n'
    answer = sent(served, chunked(fields, body.replace(b'A\r\n"chunked"}', b'a\r\n"chunked"}')))
    assert answer.startswith(b"HTTP/1.1 201")
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["name"] == "chunked"


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20),
    extension=st.sampled_from([b"", b";a", b";a=b;c", b" "]),
)
def test_chunks_mean_the_same_however_they_arrive(pieces: list[bytes], cuts: list[int], extension: bytes) -> None:
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n\r\n"
    chunks, rest, turn = Chunks(OverflowableBuffer(1 << 20)), body + b"GET", 0
    taken = 0
    while rest and not chunks.completed:
        piece = rest[: cuts[turn % len(cuts)]]
        count = chunks.received(piece)
        taken, rest, turn = taken + count, rest[count:], turn + 1
        assert chunks.error is None
    assert chunks.completed
    assert taken == len(body)
    assert chunks.getfile().read() == b"".join(pieces)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_no_bytes_make_the_reader_of_chunks_fail_or_keep_much(data: bytes, cut: int) -> None:
    chunks = Chunks(OverflowableBuffer(1 << 20))
    for start in range(0, len(data), cut):
        chunks.received(data[start : start + cut])
        if chunks.error or chunks.completed:
            break
        assert len(chunks._line) <= max(LONGEST_LINE, LARGEST_TRAILER) + 2


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_of_heads_fail(data: bytes) -> None:
    with suppress(ParsingError):
        check_head(b"GET / HTTP/1.1\r\n" + data)
    with suppress(ParsingError):
        check_head(data)


def test_what_a_proxy_is_said_to_say_is_not_believed(served: Running) -> None:
    spoofed = b"X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n"
    spoofed += b"X_Forwarded_For: 192.0.2.9\r\n"
    head = b"POST /ui/login HTTP/1.1\r\n" + HOST + spoofed + b"Connection: close\r\n"
    body = b"token=secret"
    fields = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = sent(served, head + fields + body)
    assert answer.startswith(b"HTTP/1.1 303")
    assert b"Secure" not in answer


def test_wrong_tokens_behind_a_proxy_are_held_against_who_sent_them(pool: HostPool, tmp_path: Path) -> None:
    """Also where they are refused by their headers, before the proxy's are looked at otherwise."""
    running = Running(tmp_path, pool, acceleration="off", token="secret", trusted_proxy="127.0.0.1")

    def upload(address: bytes, token: bytes) -> bytes:
        head = b"PUT /models/x/versions/1 HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: 192.0.2.1, " + address
        fields = (
            b"\r\nAuthorization: Bearer " + token + b"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        return status_of(sent(running, head + fields + b"0\r\n\r\n"))

    try:
        assert [upload(b"192.0.2.7", b"wrong") for _ in range(FREE)] == [b"401"] * FREE
        assert upload(b"192.0.2.7", b"secret") == b"429"
        assert upload(b"192.0.2.8", b"secret") in (b"415", b"422")
    finally:
        running.stop()


def test_one_proxy_is_believed_who_asks(pool: HostPool, tmp_path: Path) -> None:
    running = Running(tmp_path, pool, acceleration="off", token="secret", trusted_proxy="127.0.0.1")
    try:
        body = b"token=secret"
        head = (
            b"POST /ui/login HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\n"
        )
        fields = (
            b"Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\n"
        )
        answer = sent(running, head + fields + body)
        assert b"Secure" in answer
    finally:
        running.stop()


# Slow clients


def test_a_head_has_its_seconds_and_no_more() -> None:
    pace = Pace(100.0)
    assert pace.too_slow(100.0 + HEAD_SECONDS) is None
    assert pace.too_slow(100.1 + HEAD_SECONDS) == "head"
    pace.is_whole()
    assert pace.too_slow(1000.0) is None  # between two requests a client may be idle
    pace.began(1000.0)
    pace.began(1004.0)
    assert pace.too_slow(1000.1 + HEAD_SECONDS) == "head"


def test_a_body_may_take_long_if_it_goes_on_coming() -> None:
    pace = Pace(0.0)
    pace.took(1, 0.0)
    for turn in range(1, 5):
        assert pace.too_slow(turn * (GRACE + 1) - 2) is None
        pace.took(int(GRACE * SLOWEST), turn * (GRACE + 1))
        assert pace.too_slow(turn * (GRACE + 1)) is None
    pace.took(int(GRACE * SLOWEST) - 1, 5 * (GRACE + 1))
    assert pace.too_slow(5 * (GRACE + 1)) == "body"


def test_nothing_is_held_against_a_client_that_is_not_listened_to() -> None:
    pace = Pace(0.0)
    pace.began(0.0)
    pace.rests(100.0)
    assert pace.too_slow(100.0 + HEAD_SECONDS) is None
    pace.took(1, 101.0)
    pace.rests(200.0)
    assert pace.too_slow(200.0 + GRACE) is None


def test_an_empty_line_behind_a_request_begins_no_other(served: Running) -> None:
    request = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        assert status_of(connection.recv(1000)) == b"200"
        connection.sendall(b"\r\n")
        until(lambda: any(channel.request for channel in served.server.active_channels.values()))
        (channel,) = (one for one in served.server.active_channels.values() if one.request)
        assert channel.pace._head_since is None
        connection.sendall(request)
        assert status_of(connection.recv(1000)) == b"200"


def test_an_answer_has_to_be_read_and_a_fast_beginning_buys_no_time() -> None:
    pace = Pace(0.0)
    pace.is_whole()
    pace.waits_for_client(True, 10.0)
    pace.sent(10_000_000)
    assert pace.too_slow(11.0 + GRACE) is None
    pace.sent(100)
    pace.waits_for_client(True, 30.0 + GRACE)
    assert pace.too_slow(11.0 + 2 * GRACE) is None
    assert pace.too_slow(12.0 + 2 * GRACE) == "answer"
    pace.waits_for_client(False, 90.0)
    assert pace.too_slow(90.0) is None


def test_an_address_has_so_many_connections_and_no_more(pool: HostPool, tmp_path: Path) -> None:
    running = Running(tmp_path, pool, acceleration="off", connections_per_address=2)
    request = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    try:
        held = [socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) for _ in range(2)]
        for connection in held:
            connection.sendall(request)
            assert status_of(connection.recv(1000)) == b"200"
        with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as third:
            assert received(third) == b""
        for connection in held:
            connection.sendall(request)
            assert status_of(connection.recv(1000)) == b"200"
            connection.close()
        until(lambda: not running.server.active_channels)
        assert status_of(sent(running, b"GET /healthz HTTP/1.0\r\n" + HOST + b"\r\n")) == b"200"
    finally:
        running.stop()


def test_a_stop_takes_who_has_connected_behind_one_that_is_turned_away(pool: HostPool, tmp_path: Path) -> None:
    running = Running(tmp_path, pool, acceleration="off", connections_per_address=1)
    running.server.accepting = False  # as if the loop had not come to it yet
    connections = []
    try:
        for address in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
            there = ("127.0.0.1", running.port)
            connections.append(socket.create_connection(there, timeout=PATIENCE, source_address=(address, 0)))
        running.server.stop()
        connections[2].sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert status_of(received(connections[2])) == b"200"
        assert received(connections[1]) == b""
    finally:
        for connection in connections:
            connection.close()
        running.stop()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: loc",
        b"POST /models HTTP/1.1\r\n" + HOST + b"Authorization: Bearer secret\r\nContent-Length: 9\r\n\r\n{",
        chunked(b"Authorization: Bearer secret\r\n\r\n", b"5\r\nab"),
    ],
)
def test_whoever_does_not_go_on_is_cut_off_and_others_are_answered(
    pool: HostPool, tmp_path: Path, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "HOUSEKEEPING", 0)
    running = Running(tmp_path, pool, acceleration="off", token="secret")
    try:
        with monkeypatch.context() as hurried:
            hurried.setattr(pace, "HEAD_SECONDS", 0.05)
            hurried.setattr(pace, "GRACE", 0.05)
            with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as slow:
                slow.sendall(begun)
                assert received(slow) == b""
        assert status_of(sent(running, b"GET /healthz HTTP/1.0\r\n" + HOST + b"\r\n")) == b"200"
    finally:
        running.stop()
