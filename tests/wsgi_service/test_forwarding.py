"""Where a request comes from that a proxy passes on: addresses with ports, quotes and brackets, and junk."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import Running
from test_strictness import HOST, sent, status_of

from wsgi_service.access.attempts import FREE
from wsgi_service.access.trusted_proxy import Forwarding, address_in
from wsgi_service.hosts.pool import HostPool

PROXY = "127.0.0.1"


@pytest.fixture(scope="module")
def served(pool: HostPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(
        tmp_path_factory.mktemp("proxy"), pool, acceleration="off", token="secret", trusted_proxy=PROXY
    )
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("said", "origin"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:5123", "203.0.113.7"),
        ('"203.0.113.7:5123"', "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("192.0.2.1, 203.0.113.7:80", "203.0.113.7"),
        ("203.0.113.7, ,", "203.0.113.7"),
        ("192.0.2.1, unknown", PROXY),
        ("", PROXY),
        (" , ,", PROXY),
        ("unknown", PROXY),
        ("_hidden", PROXY),
        ("unix:", PROXY),
        ("203.0.113.7:http", PROXY),
        ("203.0.113.256", PROXY),
        ("010.0.0.1", PROXY),
        ("[2001:db8::1", PROXY),
        ("[]:80", PROXY),
        ("1", PROXY),
        ("a" * 100_000, PROXY),
        ("192.0.2.1," * 10_000 + "203.0.113.7", "203.0.113.7"),
    ],
)
def test_the_last_address_counts_and_junk_is_none(said: str, origin: str) -> None:
    assert Forwarding(PROXY).origin(PROXY, said) == origin


@given(st.text(max_size=60) | st.from_regex(r'"?\[?[0-9a-f:.%]{0,40}\]?(:[0-9]{0,6})?"?', fullmatch=True))
def test_whatever_is_said_is_an_address_or_none(said: str) -> None:
    found = address_in(said)
    assert found is None or address_in(found) == found


@pytest.mark.parametrize("peer", ["127.0.0.2", "::1", ""])
def test_nobody_but_the_proxy_is_believed(peer: str) -> None:
    environ = {
        "REMOTE_ADDR": peer, "wsgi.url_scheme": "http",
        "HTTP_X_FORWARDED_FOR": "192.0.2.1", "HTTP_X_FORWARDED_PROTO": "https", "HTTP_FORWARDED": "for=192.0.2.1",
    }  # fmt: skip
    assert Forwarding(PROXY).apply(environ) == {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    assert Forwarding("").origin(peer, "192.0.2.1") == peer


def test_the_proxy_is_known_by_any_spelling_of_its_address() -> None:
    assert Forwarding("0:0:0:0:0:0:0:1").origin("::1", "192.0.2.1") == "192.0.2.1"
    assert Forwarding("127.0.0.1").origin("::ffff:127.0.0.1", "192.0.2.1") == "192.0.2.1"


def from_(said: bytes, token: bytes, *more: bytes) -> bytes:
    fields = [b"X-Forwarded-For: " + said, b"Authorization: Bearer " + token, *more, b"Connection: close\r\n\r\n"]
    return b"DELETE /models/none HTTP/1.1\r\n" + HOST + b"\r\n".join(fields)


def test_another_port_is_no_other_client(served: Running) -> None:
    """One who tries tokens comes from a new port each time."""
    tried = [from_(b"203.0.113.7:%d" % (5000 + port), b"wrong") for port in range(FREE)]
    assert [status_of(sent(served, request)) for request in tried] == [b"401"] * FREE
    assert status_of(sent(served, from_(b'"203.0.113.7"', b"secret"))) == b"429"
    large = from_(b"203.0.113.7:1", b"secret", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"
    assert status_of(sent(served, large)) == b"429"
    assert status_of(sent(served, from_(b"[2001:db8::1]:443", b"secret"))) == b"404"


def test_the_access_log_has_the_address_also_where_the_head_is_refused(
    served: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsgi_service.access")
    assert status_of(sent(served, from_(b"[2001:db8::2]:443", b"secret"))) == b"404"
    assert status_of(sent(served, from_(b"junk\xff, {}", b"secret"))) == b"404"
    assert status_of(sent(served, from_(b"203.0.113.9:9", b"wrong", b"Transfer-Encoding: chunked"))) == b"401"
    said = [record.getMessage().split()[0] for record in caplog.records if record.name == "wsgi_service.access"]
    assert said == ["2001:db8::2", PROXY, "203.0.113.9"]


@pytest.mark.parametrize("scheme", [b"gopher", b"https, gopher", b"", b'"', b"http"])
def test_a_scheme_that_is_none_is_no_error(served: Running, scheme: bytes) -> None:
    answer = sent(served, from_(b"192.0.2.1", b"secret", b"X-Forwarded-Proto: " + scheme))
    assert (status_of(answer), b"application/problem+json" in answer) == (b"404", True)
