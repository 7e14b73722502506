"""The pool of model hosts: who serves, who judges, who stands by, and what happens when one dies.

The roles: a fixed number of hosts serve; one further host judges uploads and never serves, since what it has read
is not trusted; one serves versions that took a host down lately, one reads Parquet and Arrow tables, and one makes
programs of estimators, each of which is made when there is the first of them; one imported spare stands ready to
take the place of any. One thread, the keeper, starts every process and looks after deadlines: on Linux a host is
ended with the *thread* that started it.
"""

import contextlib
import logging
import math
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wsgi_service.errors import TOO_LONG, TOO_MANY, Busy, ServingError
from wsgi_service.hosts.lifeline import Job
from wsgi_service.hosts.limits import UNLIMITED, Allowance
from wsgi_service.hosts.process import Host
from wsgi_service.hosts.special_host import Aside

log = logging.getLogger(__name__)

TICK = 0.1
#: What a host may take in all, as a multiple of its models: computing needs memory as well.
WORKING = 1.5
#: Seconds before a host that failed to start is tried again.
RESTART_PAUSE = 1.0
#: Of the time that a start may take: after this it is a long one.
LONG = 0.25
UPLOADS_WAIT = "Other uploads are being checked. Try again in a moment."
TABLES_WAIT = "Other Parquet and Arrow tables are being read. Try again in a moment."
PROGRAMS_WAIT = "Other versions are being converted. Try again in a moment."
SUSPECTS_WAIT = (
    "This version crashed lately and is served apart, where others wait already. Try again in a moment."
)


class Figures(NamedTuple):
    """How the hosts are.

    Attributes:
        serving, idle: that serve, and how many of them have nothing to do.
        waiting: requests that wait for one.
        ended: that crashed, or were ended because of what they did.
        models, model_bytes: that are loaded, counted in each host, and the memory that was measured for them.
        resident: bytes of memory of all.
    """

    serving: int
    idle: int
    waiting: int
    ended: int
    models: int
    model_bytes: int
    resident: int


class _Waiter:
    """Somebody who waits for a serving host for a version."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.host: Host | None = None
        self.called = threading.Event()


class HostPool:
    """Supervised model hosts.

    Args:
        size: how many serve; at least two, so that no version can hold all of them.
        startup_limit: seconds a new process may take to import scikit-learn.
        most_waiting: requests that may wait for one version, or uploads for the judge; further ones are
            refused at once, so that a slow version cannot take the threads of all others.
        memory: bytes that the models in all serving hosts together may take; 0 for no limit.
    """

    def __init__(
        self, size: int, startup_limit: float = 60.0, most_waiting: int = 24, memory: int = UNLIMITED
    ) -> None:
        self.size = max(2, size)
        #: Bytes that the models in one host may take.
        self.share = memory // self.size
        #: What one predict may use, where a host cannot see to that by itself.
        self.allowance = Allowance(round(self.share * WORKING), math.inf) if memory else None
        self.most_waiting = most_waiting
        self._startup_limit = startup_limit
        self._changed = threading.Condition()
        self._idle: list[Host] = []
        self._serving: set[Host] = set()
        self._spares: list[Host] = []
        self._judge = Aside(most_waiting // 2, UPLOADS_WAIT)
        self._suspects = Aside(most_waiting + 1, SUSPECTS_WAIT)  # all that were in a call that crashed
        self._reader = Aside(most_waiting // 2, TABLES_WAIT)
        self._converter = Aside(most_waiting // 2, PROGRAMS_WAIT)
        self._all: set[Host] = set()
        self._busy_with: Counter[str] = Counter()
        self._waiting_for: Counter[str] = Counter()
        #: Who waits for a serving host, the first one first.
        self._waiters: list[_Waiter] = []
        self._dead: list[Host] = []
        self._ended = 0
        self._closing = False
        self._job = Job()
        #: Hosts that are starting, and since when.
        self._starting: dict[Host, float] = {}
        self._keeper = threading.Thread(target=self._keep, name="host-keeper", daemon=True)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """Begin to start hosts; returns at once."""
        self._folder = tempfile.TemporaryDirectory(prefix="wsgi-service-host-", ignore_cleanup_errors=True)
        self._keeper.start()

    @property
    def ready(self) -> bool:
        """Whether at least one serving host is up, and the keeper that replaces them."""
        with self._changed:
            return self._keeper.is_alive() and any(host.alive for host in self._serving)

    @property
    def closing(self) -> bool:
        """Whether all hosts are being ended, which is no fault of theirs."""
        return self._closing

    def figures(self) -> Figures:
        """How the hosts are now."""
        with self._changed:
            hosts = list(self._all)
            counts = len(self._serving), len(self._idle), len(self._waiters), self._ended
        loaded = [size for host in hosts for size in list(host.loaded.values())]
        return Figures(*counts, len(loaded), sum(loaded), sum(host.resident for host in hosts))

    def wait_ready(self) -> bool:
        """Wait until a serving host is up, for as long as starting one may take; whether one is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closing or bool(self._serving), self._startup_limit)

    @contextlib.contextmanager
    def serving(self, key: str, limit: float) -> Iterator[Host]:
        """A host of one's own for a while, preferably one that has loaded `key`.

        Raises:
            Busy: none came free within `limit` seconds, or too many wait for this version already.
        """
        host = self._acquire(key, limit)
        try:
            yield host
        finally:
            self._release(key, host)

    @contextlib.contextmanager
    def judging(self, limit: float) -> Iterator[Host]:
        """The host that judges uploads; one upload at a time. Raises Busy."""
        with self._judge.turn(limit):
            yield self._host_of(self._judge)

    @contextlib.contextmanager
    def suspecting(self, limit: float) -> Iterator[Host]:
        """The host for versions that took one down lately, apart from all others. Raises Busy."""
        with self._suspects.turn(limit):
            yield self._host_of(self._suspects)

    @contextlib.contextmanager
    def reading(self, limit: float) -> Iterator[Host]:
        """The host that takes tables apart, and never has a model. Raises Busy."""
        with self._reader.turn(limit):
            yield self._host_of(self._reader)

    @contextlib.contextmanager
    def converting(self, limit: float) -> Iterator[Host]:
        """The host that makes programs of estimators, beside those that serve. Raises Busy."""
        with self._converter.turn(limit):
            yield self._host_of(self._converter)

    def rest(self) -> None:
        """Let go of the host that makes programs unless it is at work; the next program gets another one."""
        with self._converter.unused() as unused, self._changed:
            if unused and self._converter.host is not None:
                self._converter.host.kill()
                self._bury(self._converter.host)
                self._converter.host = None
                self._ended -= 1  # which was no fault of its own

    def close(self) -> None:
        """End all hosts; whoever waits for one gets Busy."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            for waiter in self._waiters:
                waiter.called.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for host in [*self._all, *self._dead]:
            host.close()
        if self._folder is not None:
            self._folder.cleanup()

    # Taking and giving back

    def _acquire(self, key: str, limit: float) -> Host:
        waiter = _Waiter(key)
        with self._changed:
            if self._waiting_for[key] >= self.most_waiting:
                raise Busy(TOO_MANY)
            self._waiting_for[key] += 1
            self._waiters.append(waiter)
            self._hand_out()
        if not self._closing:
            waiter.called.wait(limit)
        with self._changed:
            _decrease(self._waiting_for, key)
            if waiter.host is not None:
                return waiter.host
            self._waiters.remove(waiter)
            raise Busy(TOO_LONG)

    def _hand_out(self) -> None:
        """Give idle hosts to those who wait, in their order, and wake nobody else. The lock is held."""
        self._bury_the_idle_dead()
        for waiter in list(self._waiters) if self._idle else ():
            if host := self._choose(waiter.key):
                self._idle.remove(host)
                self._busy_with[waiter.key] += 1
                self._waiters.remove(waiter)
                waiter.host = host
                waiter.called.set()

    def _choose(self, key: str) -> Host | None:
        """An idle host for a version; never the last one for a version that holds others already."""
        if not self._idle or (self._busy_with[key] and len(self._idle) == 1):
            return None
        return next((host for host in self._idle if key in host.loaded), self._idle[0])

    def _release(self, key: str, host: Host) -> None:
        with self._changed:
            _decrease(self._busy_with, key)
            if host.alive:
                self._idle.append(host)
            else:
                self._bury(host)
            self._hand_out()

    def _host_of(self, aside: Aside) -> Host:
        """The living host in a place apart; a spare steps in where there is none."""
        with self._changed:
            if aside.host is not None and not aside.host.alive:
                self._bury(aside.host)
                aside.host = None
            if aside.host is None:
                self._changed.wait_for(lambda: self._closing or self._living_spares(), self._startup_limit)
                if self._closing or not self._living_spares():
                    raise Busy("No model host has come up yet. Try again in a moment.")
                aside.host = self._spares.pop()
            return aside.host

    def _living_spares(self) -> list[Host]:
        self._bury_the_idle_dead()
        return self._spares

    def _bury(self, host: Host) -> None:
        """Forget a dead host and let a spare step in; the keeper waits for its end. The lock is held."""
        self._serving.discard(host)
        self._all.discard(host)
        self._dead.append(host)
        self._ended += 1
        self._promote()

    def _bury_the_idle_dead(self) -> None:
        """Take hosts that died while they had nothing to do out of their places. The lock is held."""
        for place in (self._idle, self._spares):
            for host in [host for host in place if not host.alive]:
                place.remove(host)
                self._bury(host)

    def _promote(self) -> None:
        while self._spares and len(self._serving) < self.size:
            host = self._spares.pop()
            self._serving.add(host)
            self._idle.append(host)
            self._changed.notify_all()

    # The keeper's thread

    def _keep(self) -> None:
        pause = threading.Event()
        while not self._closing:
            try:
                self._look_after_hosts()
            except OSError as error:  # no process, thread or file to be had; the keeper must outlive that
                log.error("model hosts cannot be looked after: %s", error)  # noqa: TRY400
                pause.wait(RESTART_PAUSE)
            pause.wait(TICK)

    def _look_after_hosts(self) -> None:
        now = time.monotonic()
        for host in list(self._all):
            host.enforce_limits(now)
        with self._changed:
            self._hand_out()
            dead, self._dead = self._dead, []
        for host in dead:
            host.close()
        for _ in range(self._missing()):
            self._start_one()

    def _missing(self) -> int:
        """How many processes to start now, so that all serve and a spare stands by, a few at a time.

        One that takes long to start does not count, and gets another one beside it: systems have been seen to make
        half a process.
        """
        with self._changed:
            recently = time.monotonic() - self._startup_limit * LONG
            starting = sum(since > recently for since in self._starting.values())
            missing = self.size + 1 - len(self._serving) - len(self._spares) - starting
            return max(0, min(missing, self.size - starting, 2 * self.size - len(self._starting)))

    def _start_one(self) -> None:
        host = Host(self._job, self._working_folder(), round(self.share * WORKING))
        with self._changed:
            self._all.add(host)
            self._starting[host] = time.monotonic()
        threading.Thread(target=self._welcome, args=(host,), daemon=True).start()

    def _working_folder(self) -> Path:
        """An empty folder, so that nothing lies beside a host that a model could name."""
        assert self._folder is not None  # noqa: S101 - the keeper's thread runs after `start`
        folder = Path(self._folder.name)
        folder.mkdir(exist_ok=True)  # systems clean their temporary folders up
        return folder

    def _welcome(self, host: Host) -> None:
        """Wait for a new process and give it its role."""
        try:
            host.wait_ready(self._startup_limit)
        except ServingError as error:
            if not self._closing:
                log.warning("a model host did not start: %s", error)
                threading.Event().wait(RESTART_PAUSE)
        with self._changed:
            del self._starting[host]
            needed = len(self._serving) < self.size or not self._spares
            if host.alive and needed and not self._closing:
                self._spares.append(host)
                self._promote()
            else:
                host.kill()
                self._bury(host)
            self._changed.notify_all()
            self._hand_out()


def _decrease(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
