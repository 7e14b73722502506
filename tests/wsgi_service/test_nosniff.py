"""Every answer says that its Content-Type is meant, whoever wrote it: resources, pages, errors, early refusals."""

from collections.abc import Iterator

import models
import pytest
from running import Running, message
from test_strictness import HOST, sent

from wsgi_service.hosts.pool import HostPool

SAID = b"\r\nX-Content-Type-Options: nosniff\r\n"


@pytest.fixture(scope="module")
def served(pool: HostPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    iris = models.skops_bytes(models.iris())
    running = Running(tmp_path_factory.mktemp("nosniff"), pool, acceleration="off", token="secret")
    head = b"Authorization: Bearer secret\r\nContent-Length: %d\r\n" % len(iris)
    sent(running, asked(b"PUT /models/iris/versions/1", head) + iris)
    yield running
    running.stop()


def asked(line: bytes, *fields: bytes) -> bytes:
    return line + b" HTTP/1.1\r\n" + HOST + b"".join(fields) + b"Connection: close\r\n\r\n"


ARTIFACT = b"GET /models/iris/versions/1/artifact"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (asked(b"GET /models"), b"200"),
        (asked(b"HEAD /models"), b"200"),
        (asked(b"GET /ui"), b"200"),
        (asked(b"GET /ui/static/pages.css"), b"200"),
        (asked(b"GET /metrics"), b"200"),
        (asked(b"POST /ui/logout", b"Content-Length: 0\r\n"), b"303"),
        (asked(ARTIFACT), b"200"),
        (asked(ARTIFACT, b"Range: bytes=0-3\r\n"), b"206"),
        (asked(ARTIFACT, b"Range: bytes=99999999-\r\n"), b"416"),
        (asked(b"GET /models/iris", b"If-None-Match: *\r\n"), b"304"),
        (message("iris", [[5.1, 3.5, 1.4, 0.2]], "Connection: close"), b"200"),
        (message("iris", [["tall"]], "Connection: close"), b"422"),
        (asked(b"GET /nothing"), b"404"),
        (asked(b"OPTIONS /models"), b"405"),
        (asked(b"DELETE /models/iris"), b"401"),
        (b"GET /models HTTP/1.1\r\nConnection: close\r\n\r\n", b"400"),
        (b"GET /models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", b"421"),
        (b"GET /models HTTP/1.1\r\nHost localhost\r\n\r\n", b"400"),
        (b"\x16\x03\x01\r\n\r\n", b"400"),
        (asked(b"GET /models", b"X-Long: " + b"x" * 300_000 + b"\r\n"), b"431"),
        (asked(b"POST /models", b"Transfer-Encoding: gzip, chunked\r\n"), b"501"),
        (asked(b"PUT /models/a/versions/1", b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", b"401"),
        (asked(b"POST /models/iris/predict", b"Content-Length: 99999999999\r\n"), b"413"),
    ],
)
def test_every_answer_says_once_that_its_type_is_meant(served: Running, request_: bytes, status: bytes) -> None:
    head = sent(served, request_).partition(b"\r\n\r\n")[0] + b"\r\n"
    assert head.split(b" ")[1] == status
    assert head.count(SAID) == 1
