"""Measures what ten times the load that a server can take does to it; the figures are in docs/performance.md.

Requests are sent at a fixed rate, whether or not earlier ones were answered, each on a connection that is free.
Run it with the Python of an environment that has the project: .venv/bin/python scripts/measure_overload.py
"""

import argparse
import http.client
import json
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from wsgi_service.client import Client

PORT = 18091
READY = 120.0
ROW = load_iris().data[0].tolist()


@dataclass
class Tally:
    """What came back: status -> seconds that each answer took."""

    answers: dict[int, list[float]] = field(default_factory=dict)
    skipped: int = 0

    def rate(self, seconds: float) -> float:
        """Good answers a second."""
        return len(self.answers.get(http.client.OK, [])) / seconds

    def percentile(self, status: int, part: float) -> float:
        """Milliseconds that this part of the answers of a status took at most."""
        ordered = sorted(self.answers.get(status, [])) or [float("nan")]
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1e3


class Connections:
    """Connections to the server, each with one request under way at the most.

    They are made when they are needed: of one that says nothing the server waits for six seconds.

    Args:
        count: how many at the most.
        message: that is sent.
    """

    def __init__(self, count: int, message: bytes) -> None:
        self._message = message
        self._selector = selectors.DefaultSelector()
        self._free: list[socket.socket] = []
        self._more = count
        self._began: dict[socket.socket, float] = {}
        self._got: dict[socket.socket, bytes] = {}

    @property
    def available(self) -> bool:
        """Whether a request can be sent."""
        return bool(self._free) or self._more > 0

    def _connect(self) -> socket.socket:
        self._more -= 1
        made = socket.create_connection(("127.0.0.1", PORT))
        self._selector.register(made, selectors.EVENT_READ)
        return made

    def send(self) -> None:
        """Send a request on a connection that is free."""
        connection = self._free.pop() if self._free else self._connect()
        self._began[connection], self._got[connection] = time.perf_counter(), b""
        connection.sendall(self._message)

    def receive(self, tally: Tally, timeout: float) -> None:
        """Take what has come by then."""
        for key, _ in self._selector.select(timeout):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            self._got[connection] = self._got.get(connection, b"") + connection.recv(1 << 16)
            if status := _status_of_whole(self._got[connection]):
                tally.answers.setdefault(status, []).append(time.perf_counter() - self._began.pop(connection))
                self._free.append(connection)

    def close(self) -> None:
        """Close them all."""
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


def _status_of_whole(answer: bytes) -> int | None:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return None
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:") and len(body) >= int(line.split(b":")[1]):
            return int(head.split(b" ")[1])
    return None


def main() -> None:
    """Find the peak, then offer ten times of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--trees", type=int, default=1000, help="of the forest; 100 take a millisecond")
    parser.add_argument("--times", type=float, default=10.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = start(folder, chosen.trees)
        try:
            measure(server, chosen)
        finally:
            server.terminate()
            server.wait()


def measure(server: "subprocess.Popen[bytes]", chosen: argparse.Namespace) -> None:
    """Print the figures."""
    body = json.dumps({"instances": [ROW], "exact": True}).encode()  # else waiting requests are joined in one call
    head = "POST /models/forest/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    message = head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    peak = max(closed(message, 16, chosen.seconds / 4).rate(chosen.seconds / 4) for _ in range(3))
    before = resident(server.pid)
    offered = chosen.times * peak
    tally, health = opened(message, chosen.connections, offered, chosen.seconds)
    good = tally.rate(chosen.seconds)
    counts = Counter({status: len(taken) for status, taken in tally.answers.items()})
    print(f"peak        {peak:8.0f} good answers a second, 16 connections")
    print(f"offered     {offered:8.0f} a second; {tally.skipped} were not sent, since no connection was free")
    print(f"goodput     {good:8.0f} a second, {good / peak:.2f} of the peak  {dict(counts)}")
    print(f"refusals    {tally.percentile(503, 0.5):8.1f} ms half, {tally.percentile(503, 0.99):.1f} ms p99")
    print(f"good        {tally.percentile(200, 0.5):8.1f} ms half, {tally.percentile(200, 0.99):.1f} ms p99")
    print(f"healthz     {statistics.median(health) * 1e3:8.1f} ms half, {max(health) * 1e3:.1f} ms at most")
    print(f"memory      {before:8.1f} MB before, {resident(server.pid):.1f} MB after")


def closed(message: bytes, count: int, seconds: float) -> Tally:
    """Each connection asks again as soon as it was answered."""
    tally, connections = Tally(), Connections(count, message)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        while connections.available:
            connections.send()
        connections.receive(tally, 0.05)
    connections.close()
    return tally


def opened(message: bytes, count: int, rate: float, seconds: float) -> tuple[Tally, list[float]]:
    """Requests at a rate; and how long /healthz took meanwhile, in seconds."""
    tally, connections = Tally(), Connections(count, message)
    began, sent, health = time.perf_counter(), 0, []
    asked = began
    while (now := time.perf_counter()) - began < seconds:
        while sent < (now - began) * rate:
            sent += 1
            if connections.available:
                connections.send()
            else:
                tally.skipped += 1
        connections.receive(tally, 0.001)
        if now - asked > 1.0:
            asked = now
            health.append(healthz())
    connections.close()
    return tally, health


def healthz() -> float:
    """Seconds that /healthz takes."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read()
    connection.close()
    return time.perf_counter() - began


def start(folder: str, trees: int) -> "subprocess.Popen[bytes]":
    """A server with a forest that its estimator answers."""
    line = [
        sys.executable, "-m", "wsgi_service", "serve", "--listen", f"127.0.0.1:{PORT}", "--data", folder,
        "--acceleration", "off", "--log-level", "error",
    ]  # fmt: skip
    server = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert server.stdout
    for said in server.stdout:
        if said.startswith(b"address"):
            break
    estimator = RandomForestClassifier(trees, random_state=0).fit(*load_iris(return_X_y=True))
    with Client(f"http://127.0.0.1:{PORT}", patience=READY) as client:
        client._remote.get("/readyz")
        client.push(estimator, "forest")
        client.predict("forest", [ROW])
    return server


def resident(pid: int) -> float:
    """MB of memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main()
