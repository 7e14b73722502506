"""Measures what checking an upload costs, and how fast a crash is answered; the figures are in docs/security.md.

    .venv/bin/python scripts/measure_gate.py

Linux only: the processor time and the memory of the judging host are read from /proc.
"""

import io
import json
import os
import pickle
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import numpy as np
import skops.io
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from train_iris import train

from model_store.errors import Refused
from wsgi_service.app import Application, create_app
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.special_host import Role
from wsgi_service.serving.inspector import HostInspector
from wsgi_service.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
SIZE = 64 << 20
TIMES = 5
CRASHES = 5
#: Of the clock in /proc, a second.
TICKS = 100


def main() -> None:
    """Judge good and bad files in a host, then crash some."""
    sys.path.insert(0, str(ROOT / "tests"))
    pool = HostPool(2)
    pool.start()
    pool.wait_ready()
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'file':34} {'MB':>6} {'verdict':>9} {'wall s':>7} {'cpu s':>7} {'grew MB':>8} {'allowed MB':>10}")
        for name, make in FILES.items():
            path = Path(folder) / "model"
            path.write_bytes(make())
            show(name, path, pool)
        crash(Path(folder), pool)


def show(name: str, path: Path, pool: HostPool) -> None:
    """Judge a file a few times and print the median."""
    runs = [judge(path, pool) for _ in range(TIMES if path.stat().st_size < SIZE // 2 else 1)]
    wall, cpu, grew = (statistics.median(run[1][index] for run in runs) for index in range(3))
    size = path.stat().st_size / 1e6
    allowed = (2 * path.stat().st_size + (256 << 20)) / 1e6
    print(f"{name:34} {size:6.1f} {runs[0][0]:>9} {wall:7.3f} {cpu:7.2f} {grew:8.1f} {allowed:10.0f}", flush=True)


def judge(path: Path, pool: HostPool) -> tuple[str, tuple[float, float, float]]:
    """Verdict, seconds, seconds of processor time, and MB by which the host grew at most."""
    with pool.apart(Role.JUDGE, 60) as host:
        pid = host.pid
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    cpu, memory = _cpu(pid), _memory(pid, "VmRSS")
    began = time.perf_counter()
    try:
        HostInspector(pool, 60).inspect(path, None)
        verdict = "accepted"
    except Refused:
        verdict = "refused"
    wall = time.perf_counter() - began
    try:
        return verdict, (wall, _cpu(pid) - cpu, (_memory(pid, "VmHWM") - memory) / 1e6)
    except OSError:  # it did not survive
        return "killed", (wall, wall, float("nan"))


def crash(folder: Path, pool: HostPool) -> None:
    """Print how long a crash takes to be answered, and how long the next good answer takes."""
    toys = import_module("toys")
    app = create_app(Settings(data=str(folder), allow_pickle=True), pool)
    call(app, "PUT", "/models/moody/versions/1", pickle.dumps(toys.Moody().fit([[1.0]])))
    call(app, "PUT", "/models/iris/versions/1", skops.io.dumps(train()[0]))
    answered, next_good, back = [], [], []
    for _ in range(CRASHES):
        answered.append(_timed(lambda: call(app, "POST", "/models/moody/predict", [[toys.CRASH]]), 502))
        call(app, "DELETE", "/models/moody/versions/1/quarantine")
        next_good.append(_timed(lambda: call(app, "POST", "/models/iris/predict", [[5.1, 3.5, 1.4, 0.2]]), 200))
        back.append(_timed(lambda: call(app, "POST", "/models/moody/predict", [[1.0]]), 200))
    for name, values in (("crash answered", answered), ("neighbour next", next_good), ("itself again", back)):
        print(f"{name:34} median {statistics.median(values):.3f} s, slowest {max(values):.3f} s")
    app.pool.close()


def _timed(ask: Callable[[], int], status: int) -> float:
    began = time.perf_counter()
    found = ask()
    assert found == status, found
    return time.perf_counter() - began


def call(app: Application, method: str, path: str, body: Any = b"") -> int:
    """The status of a request to the application, without a socket between."""
    data = body if isinstance(body, bytes) else json.dumps({"instances": body}).encode()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_LENGTH": str(len(data)),
        "wsgi.input": io.BytesIO(data),
        "CONTENT_TYPE": "application/octet-stream" if isinstance(body, bytes) else "application/json",
    }  # fmt: skip
    setup_testing_defaults(environ)
    statuses: list[str] = []
    list(app(environ, lambda status, *_: statuses.append(status)))  # type: ignore[arg-type]
    return int(statuses[0].split()[0])


def forest(trees: int) -> bytes:
    """A forest on the breast cancer data."""
    fitted = RandomForestClassifier(trees, random_state=0).fit(*load_breast_cancer(return_X_y=True))
    return bytes(skops.io.dumps(fitted))


def archive(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method, compresslevel=1) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return target.getvalue()


def schema_of_small_nodes() -> bytes:
    """64 MB of lists in a list, each of which is a node to walk over."""
    node = '{"__class__":"list","__module__":"builtins","__loader__":"ListNode","__id__":%d,"content":[]}'
    count = SIZE // (len(node) + 8)
    items = ",".join(node % index for index in range(1, count))
    outer = (node % 9_999_999_999).replace("{", '{"protocol":2,').removesuffix("]}")
    return archive({"schema.json": f"{outer}{items}]}}".encode()}, zipfile.ZIP_STORED)


def arrays_that_unpack() -> bytes:
    """64 MB that unpack to 1.3 GB, which is less than a bomb."""
    zeros = io.BytesIO()
    np.save(zeros, np.zeros(160 << 20, dtype=np.uint8))
    noise = np.random.default_rng(0).bytes(SIZE - (4 << 20))
    entries = {f"{number}.npy": zeros.getvalue() for number in range(8)} | {"99.npy": noise}
    return archive({"schema.json": b"{}"} | entries)


def many_entries() -> bytes:
    """As many empty entries as are let pass."""
    return archive(
        {f"{number}.npy": b"" for number in range(199_999)} | {"schema.json": b"{}"}, zipfile.ZIP_STORED
    )


def numbers_of_digits() -> bytes:
    """One number of sixty million digits, which takes long to read."""
    return archive({"schema.json": b'{"protocol":' + b"1" * (SIZE - 1000) + b"}"}, zipfile.ZIP_STORED)


FILES: dict[str, Callable[[], bytes]] = {
    "iris pipeline": lambda: skops.io.dumps(train()[0]),
    "forest, 100 trees": lambda: forest(100),
    "forest, 250 trees": lambda: forest(250),
    "forest, 1000 trees": lambda: forest(1000),
    "forest, 3000 trees": lambda: forest(3000),
    "64 MB of schema nodes": schema_of_small_nodes,
    "64 MB that unpack to 1.4 GB": arrays_that_unpack,
    "200,000 empty entries": many_entries,
    "64 MB of digits": numbers_of_digits,
    "64 MB of noise": lambda: os.urandom(SIZE),
}


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / TICKS


def _memory(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
