"""Measures the start and the memory of a server with models in it; the figures are in docs/performance.md.

Run it with the Python of an environment that has the project: .venv/bin/python scripts/measure.py
What follows `--` are flags of the server: ... measure.py --models 20 -- --acceleration off

Memory is PSS (proc_pid_smaps(5)): what processes share is divided among them, so their figures add up. Linux only.
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
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import skops.io
from train_iris import train

PORT = 18090
READY = 120.0
#: What stands in the command line of a process -> what it is.
ROLES = {"hosts.template": "template", "hosts.host": "host", "processes.worker": "worker"}


def main() -> None:
    """Fill a registry, then start the server on it several times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--idle", type=float, default=0.0, help="seconds to wait before memory is looked at again")
    parser.add_argument("flags", nargs="*", help="of the server")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [fill(folder, chosen.models, chosen.flags)]
        runs += [measure(folder, chosen) for _ in range(chosen.starts)]
    for name in dict.fromkeys(name for run in runs for name in run):
        values = sorted(run[name] for run in runs if name in run)
        unit = "s" if name in {"healthz", "readyz", "answer"} else "MB"
        print(f"{name:36} {statistics.median(values):7.2f} {unit:2}  ({values[0]:.2f} to {values[-1]:.2f})")


def fill(folder: str, count: int, flags: list[str]) -> dict[str, float]:
    """Memory after one pipeline was uploaded under many names, and each of them was asked ten times."""
    pipeline, _, _, _ = train()
    data = skops.io.dumps(pipeline)
    server = start(folder, flags)
    wait(server)
    for index in range(count):
        status, _ = ask("PUT", f"/models/iris-{index}/versions/1", data)
        assert status == http.client.CREATED
    for index in range(10 * count):
        assert predict(index % count) == http.client.OK
    found = memory(server.pid, "after uploads")
    stop(server)
    return found


def measure(folder: str, chosen: argparse.Namespace) -> dict[str, float]:
    """Seconds to /healthz, to a first prediction and to /readyz, and memory after a hundred predicts and later."""
    began = time.perf_counter()
    server = start(folder, chosen.flags)
    wait(server)
    found = {"healthz": time.perf_counter() - began}
    assert predict(0) == http.client.OK
    found["answer"] = time.perf_counter() - began
    while ask("GET", "/readyz")[0] != http.client.OK:
        time.sleep(0.005)
    found["readyz"] = time.perf_counter() - began
    for index in range(100):
        predict(index % chosen.models)
    found |= memory(server.pid, "after 100 predicts")
    large = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * 100_000, "method": "predict_proba"}).encode()
    for _ in range(10):
        assert ask("POST", "/models/iris-0/predict", large)[0] == http.client.OK
    found |= memory(server.pid, "after 10 large ones")
    if chosen.idle:
        time.sleep(chosen.idle)
        found |= memory(server.pid, f"after {chosen.idle:g} s")
    stop(server)
    return found


def predict(number: int) -> int:
    """The status of a prediction of one row."""
    body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]]}).encode()
    return ask("POST", f"/models/iris-{number}/predict", body)[0]


def start(folder: str, more: list[str]) -> "subprocess.Popen[bytes]":
    """The real command, without a log."""
    flags = ["--listen", f"127.0.0.1:{PORT}", "--data", folder, "--log-level", "error", *more]
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


def memory(server: int, when: str) -> dict[str, float]:
    """MB of the processes of a server by what they are, and of all of them."""
    found: dict[str, float] = defaultdict(float)
    for pid, role in tree(server, "server"):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        size = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
        found[f"{role} {when}"] += size
        found[f"all {when}"] += size
    return found


def tree(pid: int, role: str) -> Iterator[tuple[int, str]]:
    """A process and what has come of it, with what each is."""
    yield pid, role
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    for child in (
        int(child) for task in tasks for child in (task / "children").read_text(encoding="utf-8").split()
    ):
        line = Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8")
        is_ = next((name for part, name in ROLES.items() if part in line), "other")
        yield from tree(child, "hosts" if role == "template" or is_ == "host" else is_)


if __name__ == "__main__":
    main()
