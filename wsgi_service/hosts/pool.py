"""The pool of model hosts: who serves, who judges, who stands by, and what happens when one dies.

One host serves, and more do while requests wait for one, up to the size of the pool. A host for each other role
(see `Role`) is apart from those: what the judge has read is not trusted, so it never serves. Each is started when
there is something for it, and ended when there was nothing for a while. Where starting takes long, one imported
spare stands ready to take the place of any until the judge has, and the judge stays; where it does not, each
upload is judged by a host of its own. One thread, the keeper, starts every host and looks after deadlines: a
spawned host is ended on Linux with the *thread* that started it.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator

from wsgi_service.errors import TOO_LONG, Busy, ServingError
from wsgi_service.hosts import keeper
from wsgi_service.hosts.isolation import starter
from wsgi_service.hosts.keeper import Keeper
from wsgi_service.hosts.limits import UNLIMITED, Allowance
from wsgi_service.hosts.process import Host
from wsgi_service.hosts.serving_hosts import Figures, ServingHosts
from wsgi_service.hosts.special_host import Role, SpecialHost
from wsgi_service.hosts.starting import Starter

log = logging.getLogger(__name__)

#: Hosts that serve at the least.
FEWEST = 1
#: Seconds without work after which a host that is not needed is ended.
IDLE = 60.0
#: What a host may take in all, as a multiple of its models: computing needs memory as well.
WORKING = 1.5
#: Of the time that a start may take: after this it is a long one.
LONG = 0.25


class HostPool:
    """Supervised model hosts.

    Args:
        size: how many serve at the most. From two on, no version can hold all of them.
        startup_limit: seconds a new process may take to import scikit-learn.
        most_waiting: requests that may wait for one version, or uploads for the judge; further ones are
            refused at once, so that a slow version cannot take the threads of all others.
        memory: bytes that the models in all serving hosts together may take; 0 for no limit.
        starts: what hosts are started with, if not as the system does it best; ended with the pool.
    """

    def __init__(
        self,
        size: int,
        startup_limit: float = 60.0,
        most_waiting: int = 24,
        memory: int = UNLIMITED,
        starts: Starter | None = None,
    ) -> None:
        self.size = size
        #: Bytes that the models in one host may take.
        self.share = memory // size
        #: What one predict may use, where a host cannot see to that by itself.
        self.allowance = Allowance(round(self.share * WORKING), math.inf) if memory else None
        self.most_waiting = most_waiting
        self._starter = starts or starter()
        self._startup_limit = startup_limit
        self._changed = threading.Condition()
        self._serving = ServingHosts(size, most_waiting)
        self._spares: list[Host] = []
        self._apart = {role: SpecialHost(role, most_waiting // 2) for role in Role}
        self._apart[Role.SUSPECTS] = SpecialHost(Role.SUSPECTS, most_waiting + 1)  # all of a call that crashed
        self._all: set[Host] = set()
        #: How many wait for a host apart.
        self._waiting_apart = 0
        self._dead: list[Host] = []
        self._ended = 0
        self._closing = False
        #: Whether no host is to be there until one is asked for.
        self._resting = False
        #: Places for hosts that are starting, and since when, and whether the last one has come up.
        self._starting: dict[object, float] = {}
        self._came_up = False
        self._keeper = Keeper(self._look_after_hosts)

    def start(self) -> None:
        """Begin to start hosts; returns at once."""
        self._keeper.start()

    @property
    def ready(self) -> bool:
        """Whether a serving host is up, or will be when it is asked for, and the keeper that starts them."""
        with self._changed:
            up = self._resting or any(host.alive for host in self._serving.all)
            return self._keeper.alive and (up or self._came_up)

    @property
    def closing(self) -> bool:
        """Whether all hosts are being ended, which is no fault of theirs."""
        return self._closing

    @property
    def unused(self) -> bool:
        """Whether hosts are there, and none had anything to do for a while."""
        with self._changed:
            return self._are_unused(time.monotonic() - IDLE)

    def rest(self) -> None:
        """End all hosts and what they are started from, if they are still unused, until one is asked for."""
        with self._changed:
            if self._are_unused(time.monotonic() - IDLE):
                self._resting = True
        self._keeper.nudge()

    def figures(self) -> Figures:
        """How the hosts are now."""
        with self._changed:
            loaded = [size for host in self._all for size in list(host.loaded.values())]
            serving = self._serving
            counts = len(serving.all), len(serving.idle), len(serving.waiters), self._ended
        return Figures(*counts, len(loaded), sum(loaded))

    def memory(self) -> int:
        """Bytes of memory of all hosts, and of what they are started from."""
        with self._changed:
            hosts = list(self._all)
        return self._starter.memory() + sum(host.memory for host in hosts)

    def wait_ready(self) -> bool:
        """Wait until a serving host is up, for as long as starting one may take; whether one is."""
        with self._changed:
            self._wake()
            return self._changed.wait_for(lambda: self._closing or bool(self._serving.all), self._startup_limit)

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
    def apart(self, role: Role, limit: float) -> Iterator[Host]:
        """The host of a role, of which there is one, for one caller at a time. Raises Busy."""
        place = self._apart[role]
        with place.turn(limit):
            host = self._host_of(place)
            try:
                yield host
            finally:
                host.used = time.monotonic()
                if role is Role.JUDGE and self._starter.quick:
                    self._let_go(place)

    def close(self) -> None:
        """End all hosts; whoever waits for one gets Busy."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            for waiter in self._serving.waiters:
                waiter.called.set()
        self._starter.interrupt()
        self._keeper.stop()
        for host in [*self._all, *self._dead]:
            host.close()
        self._starter.close()

    # Taking and giving back

    def _acquire(self, key: str, limit: float) -> Host:
        with self._changed:
            self._wake()
            waiter = self._serving.enter(key)
            self._hand_out()
        if waiter.host is None and not self._closing:
            self._keeper.nudge()
            waiter.called.wait(limit)
        with self._changed:
            host = self._serving.leave(waiter)
        if host is None:
            raise Busy(TOO_LONG)
        return host

    def _hand_out(self) -> None:
        """Give idle hosts to those who wait. The lock is held."""
        self._bury_the_idle_dead()
        self._serving.hand_out()

    def _release(self, key: str, host: Host) -> None:
        with self._changed:
            host.used = time.monotonic()
            self._serving.release(key, host)
            if host not in self._serving.idle:
                self._bury(host)
            self._hand_out()

    def _host_of(self, place: SpecialHost) -> Host:
        """The living host in a place apart; a spare steps in where there is none."""
        with self._changed:
            if place.host is not None and not place.host.alive:
                self._bury(place.host)
                place.host = None
            if place.host is None:
                place.host = self._spare()
            return place.host

    def _spare(self) -> Host:
        """A host that has no role yet, as soon as there is one. Raises Busy. The lock is held."""
        self._wake()
        self._waiting_apart += 1
        self._keeper.nudge()
        try:
            self._changed.wait_for(lambda: self._closing or self._has_spare(), self._startup_limit)
            if self._closing or not self._has_spare():
                raise Busy("No model host has come up yet. Try again in a moment.")
            return self._spares.pop()
        finally:
            self._waiting_apart -= 1

    def _has_spare(self) -> bool:
        self._bury_the_idle_dead()
        return bool(self._spares)

    def _let_go(self, place: SpecialHost) -> None:
        """End the host in a place apart, which nobody uses."""
        with self._changed:
            if place.host is not None:
                self._end(place.host)
                place.host = None

    def _end(self, host: Host) -> None:
        """End a host that has done nothing wrong. The lock is held."""
        fault = not host.alive
        host.kill()
        self._bury(host, fault)

    def _bury(self, host: Host, fault: bool = True) -> None:
        """Forget a dead host and let a spare step in; the keeper waits for its end. The lock is held."""
        self._serving.all.discard(host)
        self._all.discard(host)
        self._dead.append(host)
        self._ended += fault and not host.lost
        self._promote()
        self._keeper.nudge()

    def _bury_the_idle_dead(self) -> None:
        """Take hosts that died while they had nothing to do out of their places. The lock is held."""
        dead = [host for host in (*self._serving.idle, *self._spares) if not host.alive]
        for place in (self._serving.idle, self._spares):
            place[:] = [host for host in place if host not in dead]
        for host in dead:
            self._bury(host)

    def _promote(self) -> None:
        """Let spares serve where they are needed for that. The lock is held."""
        while len(self._spares) > self._waiting_apart and len(self._serving.all) < self._needed():
            self._serving.add(self._spares.pop())
            self._changed.notify_all()

    def _needed(self) -> int:
        """How many hosts there is work for, or that are to be there without any. The lock is held."""
        return self._serving.needed(0 if self._resting else FEWEST)

    def _are_unused(self, since: float) -> bool:
        """Whether hosts are there, and none had anything to do since then. The lock is held."""
        serving = self._serving
        waiting = serving.waiters or self._waiting_apart or self._starting
        at_work = len(serving.idle) < len(serving.all)
        return bool(serving.all) and not waiting and not at_work and all(host.used < since for host in self._all)

    def _wake(self) -> None:
        """A host is asked for, or will be. The lock is held."""
        if self._resting:
            self._resting = False
            self._keeper.nudge()

    # The keeper's thread

    def _look_after_hosts(self) -> None:
        now = time.monotonic()
        for host in list(self._all):
            host.enforce_limits(now)
        self._end_the_idle(now - IDLE)
        with self._changed:
            self._promote()
            self._hand_out()
            dead, self._dead = self._dead, []
            rests = self._resting and not self._all
        for host in dead:
            host.close()
        if rests:
            self._starter.rest()
        for _ in range(self._missing()):
            self._start_one()

    def _end_the_idle(self, since: float) -> None:
        """End hosts that had nothing to do since then and need not be there."""
        with self._changed:
            spare = max(0, len(self._serving.all) - self._needed())
            for host in [host for host in self._serving.idle if host.used < since][:spare]:
                self._serving.idle.remove(host)
                self._end(host)
            wanted = self._waiting_apart + self._standing_by()
            for host in [host for host in self._spares if host.used < since][wanted:]:
                self._spares.remove(host)
                self._end(host)
        for place in self._apart.values():
            with place.unused() as unused:
                if unused and place.host is not None and place.host.used < since:
                    self._let_go(place)

    def _missing(self) -> int:
        """How many hosts to start now, a few at a time.

        One that takes long to start does not count, and gets another one beside it: systems have been seen to make
        half a process.
        """
        with self._changed:
            recently = time.monotonic() - self._startup_limit * LONG
            starting = sum(since > recently for since in self._starting.values())
            serving = len(self._serving.all)
            wanted = max(serving, self._needed()) + self._waiting_apart + self._standing_by()
            missing = wanted - serving - len(self._spares) - starting
            most = self.size + FEWEST
            return max(0, min(missing, most - starting, 2 * most - len(self._starting)))

    def _standing_by(self) -> int:
        """How many hosts are to stand by; the first one is not to wait for them. The lock is held."""
        judged = self._apart[Role.JUDGE].host is not None
        return 0 if self._starter.quick or judged or self._resting or not self._serving.all else 1

    def _start_one(self) -> None:
        place = object()
        with self._changed:
            self._starting[place] = time.monotonic()
        if self._starter.quick:  # which any thread may do, and the template may let it wait
            threading.Thread(target=self._bring_up, args=(place,), daemon=True).start()
            return
        try:
            host = self._start()
        except OSError:
            self._give_up(place)
            raise
        threading.Thread(target=self._welcome, args=(place, host), daemon=True).start()

    def _bring_up(self, place: object) -> None:
        try:
            host = self._start()
        except OSError as error:
            if not self._closing:
                log.error("a model host cannot be started: %s", error)  # noqa: TRY400
                threading.Event().wait(keeper.PAUSE)
            self._give_up(place)
        else:
            self._welcome(place, host)

    def _start(self) -> Host:
        host = Host(self._starter.start(round(self.share * WORKING)))
        with self._changed:
            self._all.add(host)
        return host

    def _give_up(self, place: object) -> None:
        with self._changed:
            del self._starting[place]
            self._came_up = False

    def _welcome(self, place: object, host: Host) -> None:
        """Wait for a new process and give it its role."""
        try:
            host.wait_ready(self._startup_limit)
        except ServingError as error:
            if not self._closing:
                log.warning("a model host did not start: %s", error)
                threading.Event().wait(keeper.PAUSE)
        with self._changed:
            del self._starting[place]
            self._came_up = host.alive
            host.used = time.monotonic()
            if host.alive and not self._closing:
                self._spares.append(host)
                self._promote()
            else:
                host.kill()
                self._bury(host)
            self._changed.notify_all()
            self._hand_out()
        self._keeper.nudge()
