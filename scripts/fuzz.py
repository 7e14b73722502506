"""Sends changed model files through the real server and counts what that does to it.

    .venv/bin/python scripts/fuzz.py --files 20000 --seed 1
    .venv/bin/python scripts/fuzz.py --files 20000 --random-programs --first 0 --in-process all

The files of the estimator zoo (`tests/zoo.py`), of two ONNX programs and of a linear npz model are changed in
their bytes, their arrays, the nodes of their schema and the references between them, then uploaded; or random ONNX
programs are (`random_programs.py`). What is accepted is asked to predict, and deleted again. Meanwhile a healthy
model is asked and /healthz is timed. The run fails if the server ended, if it ever said 500, if the healthy model
gave another answer, or if anything was left. Needs an environment with the `test` extra. The long run's figures
are in docs/security.md.
"""

import argparse
import http.client
import itertools
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import skops.io
from mutations import change
from train_iris import train

ROOT = Path(__file__).resolve().parent.parent
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
#: Numbers that models are asked about as well.
EXTREMES = (0.0, -1.0, 6.0, 7.0, 1e300, -1e300, 2.0**31, -(2.0**63), 1e-310)
SHOWN = 20
JSON = {"Content-Type": "application/json"}
PATIENCE = 180.0
#: Gives the name and the bytes of the file that belongs to a number.
Make = Callable[[int], tuple[str, bytes]]


@dataclass
class Tally:
    """What happened."""

    verdicts: Counter[str] = field(default_factory=Counter)
    predicts: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    neighbour: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    failures: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    slowest: float = 0.0
    ended: int | None = None
    left: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether everything that was promised held."""
        return self.ended is None and not self.wrong and not self.failures and not self.left


class Server:
    """The real command, and requests to it."""

    def __init__(self, folder: Path, flags: Sequence[str] = ()) -> None:
        self.folder = folder
        self._connections: list[http.client.HTTPConnection] = []
        self._log = (folder / "log.txt").open("wb")
        command = ["serve", "--listen", "127.0.0.1:0", "--data", str(folder / "data"), "--predict-deadline", "2"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wsgi_service", *command, "--log-level", "error", *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log,
            env=os.environ | {"PYTHONUTF8": "1"},
        )  # fmt: skip
        assert self.process.stdout
        line = next(text for text in self.process.stdout if text.startswith(b"address"))
        self.port = int(re.findall(rb":(\d+)", line)[0])

    def connect(self) -> http.client.HTTPConnection:
        """A connection of one's own; it is closed with the server."""
        self._connections.append(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE))
        return self._connections[-1]

    def stop(self) -> None:
        """End the server, unless it has ended."""
        for connection in self._connections:
            connection.close()
        self.process.terminate()
        self.process.wait(PATIENCE)
        if self.process.stdout:
            self.process.stdout.close()
        self._log.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and document of one request."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body)
    connection.request(method, path, data, {} if data is None or data is body else JSON)
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else None


def main() -> int:
    """Run it and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first file")
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--random-programs", action="store_true", help="random ONNX programs instead of files")
    parser.add_argument("--in-process", default="proven", help="see --programs-in-process of the server")
    chosen = parser.parse_args()
    make = random_program if chosen.random_programs else changed(seeds(), chosen.seed)
    numbers = range(chosen.first, chosen.first + chosen.files)
    tally = run(make, numbers, chosen.clients, ["--programs-in-process", chosen.in_process])
    print(text(tally))
    return 0 if tally.held else 1


def seeds(*only: str) -> list[tuple[str, bytes]]:
    """Names and files of models that are accepted as they are."""
    sys.path.insert(0, str(ROOT / "tests"))
    zoo = import_module("zoo")
    found = []
    for name in only or zoo.names():
        estimator, _ = zoo.fitted(name)
        try:
            found.append((name, skops.io.dumps(estimator)))
        except skops.io.exceptions.UnsupportedTypeException:
            continue
    return found + _other_formats()


def _other_formats() -> list[tuple[str, bytes]]:
    from model_store.formats import npz

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "iris.npz"
        npz.from_estimator(path, train()[0])
        linear = path.read_bytes()
    try:
        programs = import_module("programs")
    except ImportError:
        return [("npz", linear)]
    return [
        ("npz", linear),
        ("onnx tree", programs.tree().SerializeToString()),
        ("onnx sum", programs.adder().SerializeToString()),
    ]


def changed(files: list[tuple[str, bytes]], seed: int) -> Make:
    """Makes the changed file that belongs to a number."""

    def make(number: int) -> tuple[str, bytes]:
        chance = random.Random(f"{seed}-{number}")  # noqa: S311 - it must be made again, not kept secret
        name, data = chance.choice(files)
        return name, change(data, chance, [other for _, other in files])

    return make


def random_program(number: int) -> tuple[str, bytes]:
    """Makes the ONNX program that belongs to a number."""
    from random_programs import made

    return "random program", made(number).SerializeToString()


def run(make: Make, chosen: range, clients: int, flags: Sequence[str] = ()) -> Tally:
    """Send the files of these numbers, several at a time, and watch the server meanwhile."""
    tally = Tally()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder), flags)
        try:
            expected = _prepare(server)
            over = threading.Event()
            watchers = [
                threading.Thread(target=_ask_neighbour, args=(server, expected, tally, over)),
                threading.Thread(target=_time_health, args=(server, tally, over)),
            ]
            numbers = iter(chosen)
            lock = threading.Lock()
            senders = [
                threading.Thread(target=_send, args=(server, make, numbers, lock, tally)) for _ in range(clients)
            ]
            for thread in (*watchers, *senders):
                thread.start()
            for thread in senders:
                thread.join()
            over.set()
            for thread in watchers:
                thread.join()
            tally.ended = server.process.poll()
            tally.left = _left_behind(server) if tally.ended is None else []
        finally:
            server.stop()
    return tally


def _prepare(server: Server) -> Any:
    """Upload the healthy model; returns what it answers."""
    connection = server.connect()
    status, _ = ask(connection, "PUT", "/models/iris/versions/1", skops.io.dumps(train()[0]))
    assert status == http.client.CREATED
    _, answer = ask(connection, "POST", "/models/iris/predict", {"instances": ROWS, "method": "predict_proba"})
    connection.close()
    return answer["predictions"]


def _send(server: Server, make: Make, numbers: Any, lock: threading.Lock, tally: Tally) -> None:
    """Take numbers, and send the file that belongs to each."""
    connection = server.connect()
    while True:
        with lock:
            number = next(numbers, None)
            if number is None or server.process.poll() is not None:
                return
            progress(number)
        name, data = make(number)
        try:
            _try(connection, f"fuzz-{number}", data, tally, lock)
        except (OSError, http.client.HTTPException, ValueError) as error:
            with lock:
                tally.failures.append(f"file {number} ({name}): {type(error).__name__}")
            connection.close()
            connection = server.connect()


def _try(connection: Any, model: str, data: bytes, tally: Tally, lock: threading.Lock) -> None:
    """Upload a file, and if it is accepted ask for every method and delete it."""
    began = time.perf_counter()
    status, document = ask(connection, "PUT", f"/models/{model}/versions/1", data)
    while status == http.client.SERVICE_UNAVAILABLE:
        status, document = ask(connection, "PUT", f"/models/{model}/versions/1", data)
    took = time.perf_counter() - began
    with lock:
        tally.slowest = max(tally.slowest, took)
        tally.verdicts[_word(status, document)] += 1
        _note(status, document, model, tally)
    if status != http.client.CREATED:
        return
    inputs = document["schema"]["inputs"]
    row = [column["sample"] for column in inputs]
    rows = [row if document["schema"]["text"] else [row, row]]
    if all(column["type"] == "number" for column in inputs):
        rows.append([[value] * len(inputs) for value in EXTREMES])
    for method, instances in itertools.product(document["methods"], rows):
        body = {"instances": instances, "method": method}
        status, answer = ask(connection, "POST", f"/models/{model}/predict", body)
        with lock:
            tally.predicts[_word(status, answer)] += 1
            _note(status, answer, model, tally)
    status, _ = ask(connection, "DELETE", f"/models/{model}")
    assert status == http.client.NO_CONTENT


def _word(status: int, document: Any) -> str:
    type_ = str((document or {}).get("type", "")).rpartition("/")[2]
    return f"{status} {type_}".strip()


def _note(status: int, document: Any, model: str, tally: Tally) -> None:
    if status == http.client.INTERNAL_SERVER_ERROR:
        tally.failures.append(f"{model}: 500")
    if status in (http.client.BAD_GATEWAY, http.client.GATEWAY_TIMEOUT):
        tally.crashes.append(model)
    report = (document or {}).get("safety")
    if isinstance(report, dict):
        tally.rules.update({finding["rule"] for finding in report["findings"] if finding["severity"] == "refused"})


def _ask_neighbour(server: Server, expected: Any, tally: Tally, over: threading.Event) -> None:
    connection = server.connect()
    while not over.wait(0.02) and server.process.poll() is None:
        try:
            body = {"instances": ROWS, "method": "predict_proba"}
            status, answer = ask(connection, "POST", "/models/iris/predict", body)
        except (OSError, http.client.HTTPException):
            connection.close()
            connection = server.connect()
            status, answer = 0, None
        tally.neighbour[str(status)] += 1
        if status != http.client.OK or not _same(answer["predictions"], expected):
            tally.wrong += 1


def _same(answered: list[list[float]], expected: list[list[float]]) -> bool:
    """Whether they are equal but for the last digits; a program may take over from the estimator meanwhile."""
    pairs = zip(itertools.chain(*answered), itertools.chain(*expected), strict=True)
    return all(math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) for one, other in pairs)


def _time_health(server: Server, tally: Tally, over: threading.Event) -> None:
    connection = server.connect()
    while not over.wait(0.02) and server.process.poll() is None:
        began = time.perf_counter()
        try:
            status, _ = ask(connection, "GET", "/healthz")
        except (OSError, http.client.HTTPException):
            return
        tally.health.append(time.perf_counter() - began if status == http.client.OK else float("inf"))


def _left_behind(server: Server) -> list[str]:
    """Whatever lies in the data folder beside the healthy model, and models that are still there."""
    connection = server.connect()
    _, document = ask(connection, "GET", "/models")
    _, healthy = ask(connection, "GET", "/models/iris/versions/1")
    connection.close()
    data = server.folder / "data"
    needed = {healthy["digest"], healthy.get("program", {}).get("digest")}
    blobs = [path for path in (data / "blobs").glob("*/*") if path.is_file()]
    stray = [path.name for path in (data / "tmp").iterdir()]
    stray += [path.name for path in blobs if f"sha256:{path.name}" not in needed]
    return stray + [model["name"] for model in document["models"] if model["name"] != "iris"]


def progress(number: int) -> None:
    """A line that counts, on a terminal only."""
    if sys.stderr.isatty() and number % 10 == 0:
        print(f"\r{number} files", end="", file=sys.stderr, flush=True)


def text(tally: Tally) -> str:
    """What was counted, for people."""
    health = sorted(tally.health)
    lines = [
        f"server     {'ended with ' + str(tally.ended) if tally.ended is not None else 'alive throughout'}",
        f"neighbour  {sum(tally.neighbour.values())} answers, {tally.wrong} wrong  {dict(tally.neighbour)}",
        f"healthz    {len(health)} times: median {_at(health, 0.5):.1f} ms, p99 {_at(health, 0.99):.1f} ms, "
        f"slowest {_at(health, 1.0):.1f} ms",
        f"uploads    {sum(tally.verdicts.values())}, the slowest took {tally.slowest:.2f} s",
        *(f"           {number:6} {word}" for word, number in tally.verdicts.most_common()),
        f"predicts   {sum(tally.predicts.values())} of what was accepted",
        *(f"           {number:6} {word}" for word, number in tally.predicts.most_common()),
        "refused by",
        *(f"           {number:6} {word}" for word, number in tally.rules.most_common(SHOWN)),
        *(f"crashed    {model}" for model in tally.crashes[:SHOWN]),
        *(f"failure    {failure}" for failure in tally.failures[:SHOWN]),
        *(f"left       {name}" for name in tally.left[:SHOWN]),
    ]
    return "\n".join(lines)


def _at(values: list[float], share: float) -> float:
    return 1000 * values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


if __name__ == "__main__":
    raise SystemExit(main())
