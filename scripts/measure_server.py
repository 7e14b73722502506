"""What slow clients and stops cost: figures for docs/performance.md. Everything stays on this machine's loopback.

.venv/bin/python scripts/measure_server.py slow     500 slow connections of four kinds, and /healthz meanwhile
.venv/bin/python scripts/measure_server.py stops    100 stops under load, by SIGTERM and SIGINT in turn
.venv/bin/python scripts/measure_server.py stored   200 MB sent without a token, and what of it is stored
"""

import argparse
import contextlib
import http.client
import json
import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

HOST = "127.0.0.1"
ROWS = json.dumps({"instances": [[1.0]]}).encode()
OK, CREATED = 200, 201
#: Seconds for which /healthz is timed alone.
ALONE = 3.0
#: Seconds after which a slow connection that is still there counts as never cut off.
LONGEST = 60.0


@contextlib.contextmanager
def served(folder: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The real command and its port."""
    line = [sys.executable, "-m", "wsgi_service", "serve", "--listen", f"{HOST}:0", "--data", folder]
    line += ["--log-level", "error", "--acceleration", "off"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, env=os.environ | environment)
    try:
        assert process.stdout
        address = next(text for text in process.stdout if text.startswith(b"address"))
        yield process, int(address.decode().strip().rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(60)
        assert process.stdout
        process.stdout.close()


def ask(
    port: int, method: str, path: str, body: bytes = b"", type_: str = "application/json"
) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request(method, path, body or None, {"Content-Type": type_, "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def upload(port: int, model: Any) -> None:
    """A model named m, of one column."""
    from skops.io import dumps

    status, answer = ask(port, "PUT", "/models/m/versions/1", dumps(model), "application/octet-stream")
    assert status in (OK, CREATED), answer


# Slow clients


@dataclass
class Slow:
    """One slow connection."""

    kind: str
    connection: socket.socket
    rest: bytes = b""
    reads: bool = False
    began: float = field(default_factory=time.monotonic)


def open_slow(port: int, kind: str) -> Slow:
    """One that says nothing, dribbles a head or a body, or reads an answer of 20 MB byte by byte."""
    connection = socket.socket()
    if kind == "answer":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((HOST, port))
    connection.setblocking(False)
    if kind == "answer":
        connection.send(b"GET /models/m/versions/1/artifact HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return Slow(kind, connection, reads=True)
    head = b"POST /models/m/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    if kind == "head":
        return Slow(kind, connection, head + b"X: " + b"x" * 1000)
    if kind == "body":
        connection.send(head + b"Content-Length: 1000\r\n\r\n")
        return Slow(kind, connection, b" " * 1000)
    return Slow(kind, connection)


def measure_slow(count: int) -> None:
    """Hold `count` slow connections, and time /healthz until all are cut off."""
    with tempfile.TemporaryDirectory() as folder, served(folder) as (_, port):
        values = np.random.default_rng(0).normal(size=(3000, 1))
        upload(port, RandomForestRegressor(100).fit(values, values[:, 0] ** 2))  # some 20 MB
        alone = time_health(port, lambda elapsed: elapsed > ALONE)
        kinds = ("silent", "head", "body", "answer")
        held = [open_slow(port, kinds[index % len(kinds)]) for index in range(count)]
        cut: dict[str, list[float]] = defaultdict(list)
        over = threading.Event()
        times: list[float] = []
        watch = threading.Thread(target=lambda: times.extend(time_health(port, lambda _elapsed: over.is_set())))
        watch.start()
        left = go_on_slowly(held, cut)
        over.set()
        watch.join()
    print(f"/healthz alone      {summary(alone)}")
    print(f"/healthz meanwhile  {summary(times)}")
    for kind in kinds:
        found = sorted(cut[kind])
        print(f"{kind:8} {len(found):4} cut off after {found[0]:.1f} to {found[-1]:.1f} s" if found else kind)
    print(f"{left} never")


def go_on_slowly(held: list[Slow], cut: dict[str, list[float]]) -> int:
    """Send or read a byte a second on each, until the server has closed it; how many it never closed."""
    began = time.monotonic()
    while held and time.monotonic() - began < LONGEST:
        turn = time.monotonic()
        for slow in list(held):
            if not still_open(slow):
                cut[slow.kind].append(time.monotonic() - slow.began)
                slow.connection.close()
                held.remove(slow)
        time.sleep(max(0.0, 1.0 - (time.monotonic() - turn)))
    for slow in held:
        slow.connection.close()
    return len(held)


def still_open(slow: Slow) -> bool:
    """Whether the server has not closed it, after a byte more."""
    if slow.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # else its buffer would be read for hours
        return False
    try:
        if slow.rest:
            slow.connection.send(slow.rest[:1])
            slow.rest = slow.rest[1:]
        return bool(slow.connection.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def time_health(port: int, over: Callable[[float], bool]) -> list[float]:
    """Seconds of /healthz, fifty times a second, each on a connection of its own."""
    times, began = [], time.monotonic()
    while not over(time.monotonic() - began):
        start = time.perf_counter()
        status, _ = ask(port, "GET", "/healthz")
        assert status == OK
        times.append(time.perf_counter() - start)
        time.sleep(0.02)
    return times


def summary(times: list[float]) -> str:
    """Median, p99 and slowest in milliseconds."""
    ordered = sorted(1000 * one for one in times)
    return (
        f"{len(ordered)} times: median {statistics.median(ordered):.1f} ms, "
        f"p99 {ordered[int(0.99 * (len(ordered) - 1))]:.1f} ms, slowest {ordered[-1]:.1f} ms"
    )


# Stops


def measure_stops(count: int) -> None:
    """Stop a server under load so often; whatever it took must be answered in full."""
    outcomes: Counter[str] = Counter()
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        with served(folder) as (_, port):
            upload(port, LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
        for index in range(count):
            number = (signal.SIGTERM, signal.SIGINT)[index % 2]
            ends.append(stop_under_load(folder, number, outcomes))
            if sys.stderr.isatty():
                print(f"\r{index + 1} stops", end="", file=sys.stderr)
    print(f"{count} stops: {dict(outcomes)}; the server ended after {summary(ends)}")


def stop_under_load(folder: str, number: signal.Signals, outcomes: "Counter[str]") -> float:
    """One stop, while eight clients ask; seconds until the process ended."""
    with served(folder) as (process, port):
        while ask(port, "GET", "/readyz")[0] != OK:
            time.sleep(0.01)
        threads = [threading.Thread(target=ask_until_refused, args=(port, outcomes)) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        process.send_signal(number)
        began = time.monotonic()
        process.wait(60)
        ended = time.monotonic() - began
        for thread in threads:
            thread.join()
    return ended


def ask_until_refused(port: int, outcomes: "Counter[str]") -> None:
    """Predict on one connection after the other; an answer that is not whole, or none after a request, is lost."""
    while True:
        try:
            connection = socket.create_connection((HOST, port), timeout=60)
        except OSError:
            outcomes["refused"] += 1
            return
        with connection:
            outcomes[exchange(connection)] += 1


def exchange(connection: socket.socket) -> str:
    """What came of one request."""
    head = (
        "POST /models/m/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json"
    )
    request = f"{head}\r\nContent-Length: {len(ROWS)}\r\n\r\n".encode() + ROWS
    answer = b""
    try:
        connection.sendall(request)
        while piece := connection.recv(65536):
            answer += piece
    except OSError:
        if not answer:
            return "never taken"  # the system had it in its queue when the server closed its socket
    if not answer:
        return "lost"
    head_, _, body = answer.partition(b"\r\n\r\n")
    length = int(head_.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
    return f"answered {head_[9:12].decode()}" if len(body) == length else "cut"


# Bytes of strangers


def measure_stored(size: int) -> None:
    """Send a body without a token, and look what of it lies in the data folder meanwhile."""
    with tempfile.TemporaryDirectory() as folder, served(folder, WSGI_SERVICE_TOKEN="x") as (_, port):  # noqa: S106
        most, over = [0], threading.Event()

        def look() -> None:
            while not over.wait(0.001):
                most[0] = max(most[0], sum(path.stat().st_size for path in (Path(folder) / "tmp").iterdir()))

        watch = threading.Thread(target=look)
        watch.start()
        status, sent = send(port, size)
        over.set()
        watch.join()
    print(f"{status}; {sent >> 20} MB were sent, {most[0]} bytes stored")


def send(port: int, size: int) -> tuple[str, int]:
    """PUT so many bytes; the status, and how many were sent before it came."""
    with socket.create_connection((HOST, port)) as connection, selectors.DefaultSelector() as selector:
        connection.sendall(
            b"PUT /models/m/versions/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
        )
        selector.register(connection, selectors.EVENT_READ)
        sent, piece = 0, bytes(1 << 16)
        while sent < size and not selector.select(0.0):
            sent += connection.send(piece)
        return connection.recv(65536).split(b" ")[1].decode(), sent


def main() -> None:
    """Measure one thing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("slow", "stops", "stored"))
    parser.add_argument("--count", type=int)
    chosen = parser.parse_args()
    match chosen.what:
        case "slow":
            measure_slow(chosen.count or 500)
        case "stops":
            measure_stops(chosen.count or 100)
        case _:
            measure_stored(200 << 20)


if __name__ == "__main__":
    main()
