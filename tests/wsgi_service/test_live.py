"""The real command over a real socket."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import models
import pytest
from click.testing import CliRunner
from conftest import PATIENCE, LiveServer

from wsgi_service.cli import group

pytestmark = [pytest.mark.system, pytest.mark.extras, pytest.mark.live]
MEGABYTE = 1 << 20
ROWS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
JSON = {"Content-Type": "application/json"}
#: Written once: two files of one estimator differ in the ids of its parts.
IRIS = models.skops_bytes(models.iris())


def ask(server: LiveServer, method: str, path: str, body: Any = None, headers: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content else None
    finally:
        connection.close()


def raw(server: LiveServer, request: bytes) -> bytes:
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def predict(server: LiveServer) -> tuple[int, Any]:
    return ask(server, "POST", "/models/iris/predict", json.dumps(ROWS), JSON)


def upload(server: LiveServer) -> None:
    status, answer = ask(server, "PUT", "/models/iris/versions/1", IRIS)
    assert status in (200, 201), answer


def test_it_says_where_data_models_and_address_are(live_server: LiveServer) -> None:
    data, count, address = live_server.announced[:3]
    assert data == f"data     {live_server.folder.absolute()}"
    assert (count, address) == ("models   0", f"address  {live_server.url}")
    assert Path(data.split(maxsplit=1)[1]).is_absolute()


def test_upload_and_predict(live_server: LiveServer) -> None:
    upload(live_server)
    status, answer = predict(live_server)
    assert (status, answer["predictions"]) == (200, [0])


def test_sixteen_clients_of_one_model_are_all_answered(live_server: LiveServer) -> None:
    upload(live_server)
    statuses: list[int] = []

    def ask_some() -> None:
        statuses.extend(predict(live_server)[0] for _ in range(5))

    clients = [threading.Thread(target=ask_some) for _ in range(16)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert statuses == [200] * 80


def test_the_access_log_has_a_line_with_the_request_id(live_server: LiveServer) -> None:
    ask(live_server, "GET", "/healthz", headers={"X-Request-Id": "look-for-me"})
    assert live_server.wait_for_log('"GET /healthz" 200', "look-for-me")


@pytest.mark.parametrize("size", [MEGABYTE + 1, 6 * MEGABYTE])
def test_a_large_predict_gets_its_413_although_it_goes_on_sending(live_server: LiveServer, size: int) -> None:
    status, answer = ask(live_server, "POST", "/predict", b" " * size, JSON)
    assert (status, answer["type"]) == (413, "/problems/request-entity-too-large")
    assert "at most 1 MB" in answer["detail"]


def test_a_large_upload_gets_its_413(live_server: LiveServer) -> None:
    status, answer = ask(live_server, "PUT", "/models/big/versions/1", b" " * (5 * MEGABYTE))
    assert (status, "at most 4 MB" in answer["detail"]) == (413, True)


def test_a_chunked_body_is_cut_off_at_the_limit(live_server: LiveServer) -> None:
    pieces = (b" " * 65536 for _ in range(40))
    status, answer = ask(live_server, "POST", "/predict", pieces, JSON)
    assert (status, answer["type"]) == (413, "/problems/request-entity-too-large")


def test_a_large_body_for_an_address_that_is_not_there_gets_the_hint(live_server: LiveServer) -> None:
    status, answer = ask(live_server, "PUT", "/models/iris/versions/iris.skops", b" " * (3 * MEGABYTE))
    assert (status, "whole number" in answer["detail"]) == (404, True)


def test_a_chunked_upload_is_taken(live_server: LiveServer) -> None:
    data = models.skops_bytes(models.line())
    status, answer = ask(live_server, "POST", "/models/chunked/versions", iter([data[:100], data[100:]]))
    assert (status, answer["size"]) == (201, len(data))


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(live_server: LiveServer) -> None:
    head = b"PUT /models/gone/versions/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n"
    with socket.create_connection((live_server.host, live_server.port)) as connection:
        connection.sendall(head + b"x" * MEGABYTE)
    last = time.monotonic() + PATIENCE  # another connection may be looked after before this one's end is seen
    while list((live_server.folder / "tmp").iterdir()):
        assert time.monotonic() < last
    assert ask(live_server, "GET", "/models/gone")[0] == 404


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"get /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"BREW /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"405"),
        (b"TRACE /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"405"),
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: evil.com\r\nConnection: close\r\n\r\n", b"421"),
        (b"GET //evil.com/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 300_000 + b"\r\n\r\n", b"431"),
        (b"hello\r\n\r\n", b"400"),
        (b"GET http://[::bad/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_raw_requests(live_server: LiveServer, request_: bytes, status: bytes) -> None:
    answer = raw(live_server, request_)
    assert answer.split(b" ")[1].startswith(status)
    assert b"application/problem+json; charset=utf-8" in answer
    assert b"Server:" not in answer


def test_a_refused_header_is_not_repeated(live_server: LiveServer) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer hush\rx\r\n\r\n"
    answer = raw(live_server, request)
    assert answer.split()[1] == b"400"
    assert b"hush" not in answer


def test_without_the_token_not_a_byte_of_an_upload_is_stored(start_server: Any) -> None:
    server = start_server(WSGI_SERVICE_TOKEN="secret")
    head = b"PUT /models/iris/versions/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n"
    answer = raw(server, head + b"Expect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401")
    assert list((server.folder / "tmp").iterdir()) == []


def test_a_second_server_cannot_take_the_same_port(live_server: LiveServer, folder: Path) -> None:
    command = [sys.executable, "-m", "wsgi_service", "serve", "--data", str(folder)]
    command += ["--listen", f"127.0.0.1:{live_server.port}"]
    second = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    assert second.returncode != 0
    assert b"--listen HOST:PORT" in second.stderr
    assert b"Traceback" not in second.stderr


def test_an_open_address_without_a_token_is_not_served(folder: Path) -> None:
    command = [sys.executable, "-m", "wsgi_service", "serve", "--data", str(folder), "--listen", "0.0.0.0:0"]
    refused = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    assert refused.returncode == 2
    assert b"WSGI_SERVICE_TOKEN" in refused.stderr


def test_a_data_folder_that_cannot_be_used_is_named(folder: Path) -> None:
    taken, damaged = folder / "file", folder / "damaged"
    taken.write_bytes(b"")
    damaged.mkdir()
    (damaged / "registry.db").write_bytes(b"no database at all, but long enough to be read as one" * 50)
    for data in (taken, damaged):
        command = [sys.executable, "-m", "wsgi_service", "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
        refused = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False
        )
        assert refused.returncode == 1
        assert b"cannot be used" in refused.stderr
        assert b"Traceback" not in refused.stderr


def test_stopped_and_started_again_the_same_data_answer(start_server: Any) -> None:
    first = start_server("--acceleration", "off")
    upload(first)
    assert predict(first)[0] == 200
    first.stop()
    second = start_server("--acceleration", "off")
    assert "models   1" in second.announced
    assert predict(second)[1]["alias"] == "live"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can answer")
def test_a_stop_lets_the_request_under_way_finish(start_server: Any) -> None:
    server = start_server()
    upload(server)
    predict(server)
    connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    rows = {"instances": [[5.1, 3.5, 1.4, 0.2]] * 50_000, "method": "predict_proba"}
    connection.request("POST", "/models/iris/predict", json.dumps(rows), JSON)
    ask(server, "GET", "/healthz")  # by now the server has begun to read the other request
    os.kill(server.process.pid, signal.SIGTERM)
    answer = connection.getresponse()
    assert (answer.status, len(json.loads(answer.read())["predictions"])) == (200, 50_000)
    connection.close()
    assert server.process.wait(PATIENCE) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends a process at once there")
def test_whoever_has_connected_before_a_stop_is_answered(start_server: Any) -> None:
    server = start_server("--acceleration", "off")
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    connections = [socket.create_connection((server.host, server.port), timeout=PATIENCE) for _ in range(20)]
    server.process.terminate()
    for connection in connections:
        with connection:
            connection.sendall(request)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.skipif(sys.platform != "linux", reason="finds the hosts in /proc")
def test_hosts_that_are_killed_again_and_again_never_take_the_server_along(start_server: Any) -> None:
    server = start_server("--acceleration", "off")  # so that the hosts are what answers
    upload(server)
    statuses = []
    for _ in range(3):
        (template,) = children(server.process.pid)
        for host in children(template):
            os.kill(host, signal.SIGKILL)
        statuses += [predict(server)[0] for _ in range(2)]
    # 503: to the server it is the model that takes its processes down, and three times is once too often.
    assert set(statuses) <= {200, 502, 503}
    if statuses[-1] == 503:
        assert ask(server, "DELETE", "/models/iris/versions/1/quarantine")[0] == 204
    assert predict(server)[0] == 200
    assert server.process.poll() is None


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text(encoding="utf-8").split()]
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run on Windows")
def test_gunicorn_serves_the_same_application(folder: Path) -> None:
    pytest.importorskip("gunicorn")
    environment = os.environ | {"WSGI_SERVICE_DATA": str(folder)}
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--bind",
        "127.0.0.1:0",
        "--threads",
        "4",
        "wsgi_service.wsgi:application",
    ]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert process.stderr
        line = next(line for line in process.stderr if b"Listening at" in line).decode()
        server: Any = LiveServer.__new__(LiveServer)
        server.host, server.port = "127.0.0.1", int(line.rpartition(":")[2].split()[0].rstrip("/"))
        upload(server)
        assert predict(server)[1]["predictions"] == [0]
        assert ask(server, "PUT", "/models/Bad/versions/1", b"x")[0] == 404
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stderr.close()


def test_what_is_not_safe_for_everybody_is_said_at_the_start(start_server: Any) -> None:
    server = start_server("--allow-pickle", "--trust", "my_package.MyTransformer, other.thing")
    assert server.wait_for_log("WARNING", "can run code on this machine")
    assert server.wait_for_log("WARNING", "my_package.MyTransformer")


@pytest.mark.parametrize("trust", ["os", "os.", "my package.Thing", "../x.y"])
def test_what_to_trust_is_a_dotted_name(trust: str, folder: Path) -> None:
    command = ["serve", "--data", str(folder), "--listen", "127.0.0.1:0", "--trust", trust]
    done = CliRunner().invoke(group, command)
    assert (done.exit_code, "dotted names" in " ".join(done.output.split())) == (2, True)
