"""Load on one server: wrk where it is installed, else threads of our own."""

import http.client
import re
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmark.servers import Question

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Load:
    """What a server did under load: requests a second, and milliseconds that half and 99 % took at most."""

    rate: float
    half: float
    most: float
    failed: int = 0


def run(port: int, question: Question, connections: int, seconds: float) -> Load:
    """Send a request again and again on so many connections."""
    return (_wrk if shutil.which("wrk") else _threads)(port, question, connections, seconds)


def _wrk(port: int, question: Question, connections: int, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        body = question.body.decode()
        script.write_text(
            f'wrk.method="POST"\nwrk.headers["Content-Type"]="{question.media_type}"\nwrk.body=[==[{body}]==]\n',
            encoding="utf-8",
        )
        line = [
            "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "--latency",
            "-s", str(script), f"http://127.0.0.1:{port}{question.path}",
        ]  # fmt: skip
        said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert rate, said
    return Load(float(rate[1]), _latency(said, "50%"), _latency(said, "99%"), int(failed[1]) if failed else 0)


def _latency(said: str, part: str) -> float:
    found = re.search(rf"{part}\s+([\d.]+)(us|ms|s|m)", said)
    return float(found[1]) * UNITS[found[2]] if found else float("nan")


def _threads(port: int, question: Question, connections: int, seconds: float) -> Load:
    taken: list[float] = []
    failed: list[float] = []
    until = time.perf_counter() + seconds

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (began := time.perf_counter()) < until:
            connection.request("POST", question.path, question.body, {"Content-Type": question.media_type})
            answer = connection.getresponse()
            answer.read()
            (taken if answer.status == http.client.OK else failed).append(time.perf_counter() - began)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ordered = sorted(taken) or [float("nan")]
    return Load(
        len(taken) / seconds,
        ordered[len(ordered) // 2] * 1e3,
        ordered[int(len(ordered) * 0.99)] * 1e3,
        len(failed),
    )
