"""Measures the start and the size of a server with models in it; the figures are in docs/performance.md.

Run it with the Python of an environment that has the project: .venv/bin/python scripts/measure.py
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import skops.io
from train_iris import train

PORT = 18090
READY = 120.0


def main() -> None:
    """Fill a registry, then start the server on it several times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--starts", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fill(folder, chosen.models)
        runs = [measure(folder) for _ in range(chosen.starts)]
    for name, unit in (
        ("healthz", "s"),
        ("answer", "s"),
        ("resident", "MB"),
        ("after large", "MB"),
        ("host", "MB"),
    ):
        values = sorted(run[name] for run in runs)
        print(f"{name:12} {statistics.median(values):7.2f} {unit}  ({values[0]:.2f} to {values[-1]:.2f})")


def fill(folder: str, count: int) -> None:
    """Upload one pipeline under many names."""
    pipeline, _, _, _ = train()
    data = skops.io.dumps(pipeline)
    server = start(folder)
    wait(server)
    for index in range(count):
        status, _ = ask("PUT", f"/models/iris-{index}/versions/1", data)
        assert status == http.client.CREATED
    stop(server)


def measure(folder: str) -> dict[str, float]:
    """Seconds to /healthz and to a first prediction, and memory after a hundred of them and ten large ones."""
    began = time.perf_counter()
    server = start(folder)
    wait(server)
    healthy = time.perf_counter() - began
    body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]]}).encode()
    assert ask("POST", "/models/iris-0/predict", body)[0] == http.client.OK
    answered = time.perf_counter() - began
    for index in range(100):
        ask("POST", f"/models/iris-{index % 50}/predict", body)
    resident = memory(server.pid)
    host = max(memory(child) for child in children(server.pid))
    large = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * 100_000, "method": "predict_proba"}).encode()
    for _ in range(10):
        assert ask("POST", "/models/iris-0/predict", large)[0] == http.client.OK
    after = memory(server.pid)
    stop(server)
    return {"healthz": healthy, "answer": answered, "resident": resident, "after large": after, "host": host}


def start(folder: str) -> "subprocess.Popen[bytes]":
    """The real command, without a log."""
    flags = ["--listen", f"127.0.0.1:{PORT}", "--data", folder, "--log-level", "error"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "wsgi_service", "serve", *flags]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def stop(server: "subprocess.Popen[bytes]") -> None:
    """Stop the server and wait for its end."""
    server.terminate()
    server.wait(READY)


def wait(server: "subprocess.Popen[bytes]") -> None:
    """Wait for the first answer."""
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if ask("GET", "/healthz")[0] == http.client.OK:
                return
        except OSError:
            time.sleep(0.005)
    raise SystemExit("the server did not come up")


def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=READY)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if method == "POST" else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def memory(pid: int) -> float:
    """Resident memory in MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def children(pid: int) -> list[int]:
    """The child processes of all threads of a process (Linux)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text(encoding="utf-8").split()]


if __name__ == "__main__":
    main()
