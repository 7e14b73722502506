"""Trials of what is promised about the store: kills, races and swaps. Each fails if a promise does not hold.

    .venv/bin/python scripts/trials.py kills --count 1000    writers killed at every failpoint
    .venv/bin/python scripts/trials.py race --count 100      50 PUTs of one version at once, from two processes
    .venv/bin/python scripts/trials.py swaps --seconds 60    100 alias moves under load

Kills and races use servers with everything but model hosts, so that a thousand of them start in minutes; swaps
use the real command. Everything stays on this machine's loopback. The long runs' figures are in docs/registry.md.
"""

import argparse
import hashlib
import http.client
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from model_store import failpoints
from model_store.catalog import Catalog
from model_store.consistency import check
from model_store.opening import open_catalog

POINTS: tuple[failpoints.Point, ...] = get_args(failpoints.Point)
PATIENCE = 120.0
#: Rounds after which a trial of kills begins with an empty folder.
ROUNDS_IN_A_FOLDER = 20
#: Requests that a writer is sent before it is killed from outside, if its failpoint was not reached.
MOST_REQUESTS = 40
#: How often a failpoint is passed before it kills, at the most.
MOST_PASSES = 6
NOW = -60.0
MODELS = ("a", "b", "c")
OK, CREATED, NO_CONTENT, SERVER_ERROR = 200, 201, 204, 500


# The writer: a whole server, but for the hosts


def write(folder: str, point: str, passes: int) -> None:
    """Serve until killed; the first line printed is the port."""
    from wsgi_service.app import create_app
    from wsgi_service.server.listening import bind
    from wsgi_service.server.run import serve
    from wsgi_service.settings import Settings

    listener = bind("127.0.0.1", 0)
    settings = Settings(data=folder, drain_deadline=0.1, acceleration="off")  # there are no hosts to convert in
    app = create_app(settings, NoHosts(), Trusting(), Willing())  # type: ignore[arg-type]
    if point:
        failpoints.arm(point, "kill", passes)  # type: ignore[arg-type]
    serve(app, listener, lambda _stop, _turns: print(listener.getsockname()[1], flush=True))


class NoHosts:
    """A pool without hosts, which says that it is ready."""

    ready = True
    share, allowance = 0, None
    size, most_waiting, closing = 2, 1, False

    def wait_ready(self) -> bool:
        """There will be none."""
        return False

    def start(self) -> None:
        """There is nothing to start."""

    def close(self) -> None:
        """There is nothing to end."""


class Trusting:
    """An inspector that takes everything, without looking."""

    def inspect(self, _path: Path, _names: Any) -> Any:
        """One column, whatever the bytes are."""
        from model_store.entities import Facts, Inspection
        from model_store.safety import Report
        from model_store.schema import Column, Schema

        schema = Schema(inputs=(Column(name="x0", type="number"),))
        facts = Facts(format="skops", estimator="Any", methods=("predict",), schema=schema, environment={})
        return Inspection(facts, Report(format="skops", verdict="accepted"))

    def answers(self, *_: Any) -> Any:
        """Nothing is asked."""
        return {}


class Willing:
    """A rehearsal in which everything goes well."""

    def load(self, *_: Any) -> None:
        """It loads."""

    def answers(self, *_: Any) -> Any:
        """Nothing is asked."""
        return {}


class Writer:
    """A writer's process, seen from outside."""

    def __init__(self, folder: Path, point: str = "", passes: int = 0) -> None:
        self._point = point
        command = [sys.executable, __file__, "write", str(folder), point or "-", str(passes)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )  # fmt: skip
        assert self._process.stdout
        self.port = int(self._process.stdout.readline() or 0)

    def end(self) -> str:
        """End it if it lives; says where it was killed."""
        where = self._point
        try:
            # A writer that was killed at its failpoint is about to be gone; its answer was the last to break off.
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            where = "outside"
            self._process.kill()
            self._process.wait(PATIENCE)
        assert self._process.stdout
        self._process.stdout.close()
        return where


class Broken(Exception):
    """The connection ended before the answer."""


class Connection:
    """Requests to a server, one after the other."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: bytes | None = None, type_: str = "") -> tuple[int, Any]:
        """Status and JSON of an answer. Raises Broken."""
        try:
            self._http.request(method, path, body, {"Content-Type": type_} if type_ else {})
            response = self._http.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Broken from error
        return response.status, json.loads(content) if content else None

    def send_json(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Like `ask`, with a JSON body."""
        return self.ask(method, path, json.dumps(body).encode(), "application/json")

    def close(self) -> None:
        """Close it."""
        self._http.close()


# Kills


@dataclass
class Ledger:
    """What was acknowledged: uploads, and deletions, with those that were asked for without an answer."""

    uploads: dict[tuple[str, int], str] = field(default_factory=dict)
    deleted: set[tuple[str, int]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def uploaded(self, version: dict[str, Any]) -> None:
        """Note a 201."""
        key = version["model"], version["version"]
        with self.lock:
            if key in self.uploads:
                self.problems.append(f"{key} was answered with 201 twice")
            self.uploads[key] = version["digest"]


@dataclass
class Tally:
    """How the trial went."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    swept: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def try_kills(count: int, seed: int, tell: Callable[[str], None]) -> Tally:
    """Kill so many writers, two at a time on one folder, and look at what is left after each round."""
    tally, points = Tally(), itertools.cycle(POINTS)
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    while sum(tally.kills.values()) < count and not tally.problems:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            ledger = Ledger()
            for _ in range(ROUNDS_IN_A_FOLDER):
                _one_round(Path(folder), ledger, tally, next(points), chance)
                tell(f"{sum(tally.kills.values())} of {count} kills")
                if sum(tally.kills.values()) >= count or tally.problems:
                    break
            tally.acknowledged += len(ledger.uploads)
    return tally


def _one_round(folder: Path, ledger: Ledger, tally: Tally, point: str, chance: random.Random) -> None:
    writers = [Writer(folder, point, chance.randrange(MOST_PASSES)) for _ in range(2)]
    threads = [
        threading.Thread(target=_keep_busy, args=(writer.port, ledger, random.Random(chance.random())))  # noqa: S311
        for writer in writers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.kills.update(writer.end() for writer in writers)
    tally.problems += ledger.problems
    _look(folder, ledger, tally)


def _keep_busy(port: int, ledger: Ledger, chance: random.Random) -> None:
    """Send a writer changes until it is gone."""
    connection = Connection(port)
    try:
        for _ in range(MOST_REQUESTS):
            _change_something(connection, ledger, chance)
    except Broken:
        return
    finally:
        connection.close()


def _change_something(connection: Connection, ledger: Ledger, chance: random.Random) -> None:
    model = chance.choice(MODELS)
    number = chance.randrange(1, 40)
    kind = chance.random()
    if kind < 0.5:  # noqa: PLR2004
        status, answer = connection.ask(
            "POST", f"/models/{model}/versions", chance.randbytes(chance.randrange(50_000))
        )
    elif kind < 0.75:  # noqa: PLR2004
        status, answer = connection.ask("PUT", f"/models/{model}/versions/{number}", chance.randbytes(999))
    elif kind < 0.9:  # noqa: PLR2004
        status, answer = connection.send_json("PUT", f"/models/{model}/aliases/live", {"version": number})
    else:
        status, answer = _delete(connection, ledger, model, number)
    ledger.answers[status] += 1
    if status == CREATED and "digest" in answer:
        ledger.uploaded(answer)
    if status >= SERVER_ERROR:
        ledger.problems.append(f"an answer was {status}: {answer}")


def _delete(connection: Connection, ledger: Ledger, model: str, number: int) -> tuple[int, Any]:
    """Ask for a version's end; it counts as deleted if that was acknowledged, or was not answered at all."""
    try:
        status, answer = connection.ask("DELETE", f"/models/{model}/versions/{number}")
    except Broken:
        ledger.deleted.add((model, number))
        raise
    if status == NO_CONTENT:
        ledger.deleted.add((model, number))
    return status, answer


def _look(folder: Path, ledger: Ledger, tally: Tally) -> None:
    """Everything that was acknowledged is there, and nothing else is wrong once the garbage is swept."""
    catalog = open_catalog(folder)
    try:
        for flaw in check(catalog, older_than=NOW):
            tally.swept[flaw.kind] += 1
            if flaw.kind not in {"orphan", "leftover"}:
                tally.problems.append(f"{flaw.kind}: {flaw.where}: {flaw.message}")
        catalog.sweep(NOW)
        tally.problems += [f"after the sweep: {flaw}" for flaw in check(catalog, older_than=NOW)]
        tally.problems += _lost(catalog, ledger)
    finally:
        catalog.registry.close()


def _lost(catalog: Catalog, ledger: Ledger) -> Iterator[str]:
    """What was acknowledged and is not there, though nobody deleted it."""
    there = {
        (version.model, version.version): version.digest
        for model in MODELS
        if any(found.name == model for found in catalog.registry.models(10))
        for version in catalog.registry.versions(model)
    }
    for key, digest in ledger.uploads.items():
        if there.get(key) != digest and not (key not in there and key in ledger.deleted):
            yield f"{key} was acknowledged with {digest} and is {there.get(key)}"


# Races


def try_races(count: int, tell: Callable[[str], None], at_once: int = 50) -> Counter[str]:
    """PUT one version at once from so many connections to two processes, again and again."""
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        writers = [Writer(Path(folder)) for _ in range(2)]
        try:
            for turn in range(1, count + 1):
                statuses = _race(writers, turn, at_once)
                outcomes[json.dumps(dict(sorted(statuses.items())))] += 1
                tell(f"{turn} of {count} races")
        finally:
            for writer in writers:
                writer.end()
    return outcomes


def _race(writers: list[Writer], number: int, at_once: int) -> Counter[int]:
    statuses: list[int] = []
    barrier = threading.Barrier(at_once)

    def put(index: int) -> None:
        connection = Connection(writers[index % 2].port)
        body = hashlib.sha256(f"{number} {index % (at_once - 5)}".encode()).digest()  # five are sent twice
        barrier.wait()
        statuses.append(connection.ask("PUT", f"/models/race/versions/{number}", body)[0])
        connection.close()

    threads = [threading.Thread(target=put, args=(index,)) for index in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(statuses)


# Swaps


def try_swaps(seconds: float, moves: int, tell: Callable[[str], None]) -> Counter[str]:
    """Predict from eight connections while an alias moves to and fro; each answer must be its version's."""
    outcomes: Counter[str] = Counter()
    with _served() as port:
        _register_multipliers(port)
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=_predict, args=(port, until, outcomes)) for _ in range(8)]
        for thread in threads:
            thread.start()
        connection = Connection(port)
        for index in range(moves):
            time.sleep(max(0.0, until - seconds + index * seconds / moves - time.monotonic()))
            status, _ = connection.send_json("PUT", "/models/m/aliases/live", {"version": 1 + (index + 1) % 2})
            outcomes[f"move {status}"] += 1
            tell(f"{index + 1} of {moves} moves")
        connection.close()
        for thread in threads:
            thread.join()
    return outcomes


@contextmanager
def _served() -> Iterator[int]:
    """The port of the real command."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = ["serve", "--listen", "127.0.0.1:0", "--data", folder, "--log-level", "error"]
        server = subprocess.Popen([sys.executable, "-m", "wsgi_service", *command], stdout=subprocess.PIPE)
        try:
            assert server.stdout
            line = next(line for line in server.stdout if line.startswith(b"address"))
            yield int(line.decode().strip().rpartition(":")[2])
        finally:
            server.terminate()
            server.wait(PATIENCE)
            if server.stdout:
                server.stdout.close()


def _register_multipliers(port: int) -> None:
    """Versions 1 and 2, which multiply by their number."""
    import skops.io
    from sklearn.linear_model import LinearRegression

    with closing(Connection(port)) as connection:
        for factor in (1, 2):
            model = LinearRegression(fit_intercept=False).fit([[1.0]], [float(factor)])
            path = f"/models/m/versions/{factor}"
            stored = connection.ask("PUT", path, skops.io.dumps(model), "application/octet-stream")
            assert stored[0] == CREATED, stored
            proven = connection.send_json("PUT", f"{path}/examples", {"instances": [[3.0]]})
            assert proven[0] == OK, proven


def _predict(port: int, until: float, outcomes: Counter[str]) -> None:
    connection = Connection(port)
    while time.monotonic() < until:
        status, answer = connection.send_json("POST", "/models/m/predict", {"instances": [[10.0]]})
        fits = status == OK and abs(answer["predictions"][0] - 10.0 * answer["version"]) < 1e-9  # noqa: PLR2004
        outcomes["right" if fits else f"wrong: {status} {answer}"] += 1
    connection.close()


def main() -> int:
    """Run one trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trial", choices=("kills", "race", "swaps", "write"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.trial == "write":
        folder, point, passes = chosen.rest
        write(folder, "" if point == "-" else point, int(passes))
        return 0
    return {"kills": _report_kills, "race": _report_race, "swaps": _report_swaps}[chosen.trial](chosen)


def _report_kills(chosen: argparse.Namespace) -> int:
    tally = try_kills(chosen.count, chosen.seed, _tell)
    print(f"kills         {dict(tally.kills)}")
    print(f"acknowledged  {tally.acknowledged} uploads")
    print(f"swept         {dict(tally.swept)}")
    print("\n".join(f"PROBLEM {problem}" for problem in tally.problems) or "nothing was lost")
    return 1 if tally.problems else 0


def _report_race(chosen: argparse.Namespace) -> int:
    outcomes = try_races(chosen.count, _tell)
    for outcome, times in outcomes.most_common():
        print(f"{times:5} times {outcome}")
    return 0 if all(json.loads(outcome).get("201") == 1 for outcome in outcomes) else 1


def _report_swaps(chosen: argparse.Namespace) -> int:
    outcomes = try_swaps(chosen.seconds, chosen.count, _tell)
    for outcome, times in outcomes.most_common():
        print(f"{times:7} {outcome}")
    return 0 if outcomes.keys() <= {"right", "move 200"} else 1


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
