"""One call of a version in a model host: wait for a host, load, ask, and note it if the host dies."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from msgspec import Struct

from model_store.artifacts.local import Artifacts
from model_store.entities import Attribution, Version
from wsgi_service.errors import Busy
from wsgi_service.hosts import frames
from wsgi_service.hosts.buffers import encode_table
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.hosts.special_host import Role
from wsgi_service.rows.tables import Table
from wsgi_service.serving.batching import Take
from wsgi_service.serving.loading import Loading
from wsgi_service.serving.suspects import Suspects
from wsgi_service.serving.wanted import ALWAYS, Wanted

#: Of the deadline, how much is for computing; a predict that has no host by then is refused.
COMPUTING = 0.5
#: Seconds that a predict is given at the least, when it got its host at the last moment.
LEAST = 0.01
NONE_UP = "No model host has come up yet. Try again in a moment."
#: What a host says, and the buffers that go with it.
Replied = tuple[frames.Reply, list[bytearray]]


class HostRequest(Struct, frozen=True):
    """A request for a model host: methods of a version for a table, the caller, and how long it waits.

    Attributes:
        judged: whether it is looked at whether the results make sense.
    """

    version: Version
    methods: Sequence[str]
    table: Table
    by: Attribution
    wanted: Wanted = ALWAYS
    judged: bool = False


class HostCalls:
    """Calls hosts.

    Args:
        pool: of them.
        artifacts: where the bytes are.
        loading: loads versions.
        suspects: which of them are served apart.
        deadline: seconds a predict may take.
        joined: is told for how many requests, and with how many rows, a host is called.
    """

    def __init__(
        self,
        pool: HostPool,
        artifacts: Artifacts,
        loading: Loading,
        suspects: Suspects,
        deadline: float,
        joined: Callable[[int, int], None],
    ) -> None:
        self._pool = pool
        self._artifacts = artifacts
        self._loading = loading
        self._suspects = suspects
        self._deadline = deadline
        self._joined = joined
        #: Seconds that are left to compute at the least: nobody is ended because it waited for too long.
        self.computing = COMPUTING * deadline

    def load(self, version: Version, by: Attribution, until: float) -> None:
        """Prove that a version's bytes have their digest and that a host can load it. Raises like `predict`."""
        with self._suspects.noting(version, by):
            self._artifacts.verify(version.digest)  # a host that has it already would not look
            with self._loaded(version, until, ALWAYS):
                return

    def predict(self, asked: HostRequest, until: float, take: Take) -> Replied:
        """The reply of a host that came free in time.

        Args:
            asked: which version and methods, and by whom.
            until: when computing ends.
            take: gives, once there is a host, the rows of all requests that wait by then.

        Raises:
            ServingError, StoreError: no host came free, or it crashed, took too long or refused.
        """
        requests = 1
        with (
            self._suspects.noting(asked.version, asked.by, lambda: requests == 1),
            self._loaded(asked.version, until, asked.wanted) as (host, left),
        ):
            table, last, requests = take()
            self._joined(requests, table.rows)
            header, buffers = encode_table(table)
            request = frames.Predict(asked.version.digest, tuple(asked.methods), header, asked.judged)
            # Requests that joined while the version was loading have deadlines of their own.
            limit = max(left, last - time.monotonic(), LEAST)
            return host.call(request, buffers, limit, self._pool.allowance)

    @contextmanager
    def _loaded(self, version: Version, until: float, wanted: Wanted) -> Iterator[tuple[Host, float]]:
        """A host that has loaded a version, and the seconds that are left to compute.

        Waiting for a host and computing share the deadline; starting and loading have limits of their own.
        """
        began = time.monotonic()
        if not self._pool.wait_ready():
            raise Busy(NONE_UP)
        until += time.monotonic() - began
        suspected = self._suspects.has(version)
        with self._host_for(version, suspected, until - time.monotonic() - self.computing, wanted) as host:
            # The host for suspects may have to be started first, and that is not the model's time.
            left = self._deadline if suspected else until - time.monotonic()
            self._loading.ensure(host, version)
            yield host, left

    @contextmanager
    def _host_for(self, version: Version, suspected: bool, limit: float, wanted: Wanted) -> Iterator[Host]:
        """A host that serves; one apart from those if the version took one down lately."""
        wanted.check()
        patience = wanted.until - time.monotonic()
        entered = (
            self._pool.apart(Role.SUSPECTS, max(min(self._deadline, patience), LEAST))
            if suspected
            else self._pool.serving(version.digest, max(min(limit, patience), LEAST))
        )
        with ExitStack() as stack:
            try:
                host = stack.enter_context(entered)
            except Busy:
                wanted.check()  # the client's time may have been the shorter one
                raise
            yield host
