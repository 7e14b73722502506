"""Whether a program may run in the HTTP process, and what it costs: found out once for its bytes, and kept.

Small programs are looked at here. Large ones are looked at by the host that judges uploads, since to take a
megabyte apart holds up every other thread of a process.
"""

import io
import threading
from collections import OrderedDict

from msgspec import Struct

from model_store.artifacts.local import Artifacts, digest_of
from model_store.errors import ArtifactCorrupt, Refused
from model_store.formats.onnx.cost import Cost
from wsgi_service.hosts import frames
from wsgi_service.hosts.limits import CHECK_SECONDS, allowance_to_check
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.special_host import Role

#: Bytes of a program that is looked at where it would run.
SMALL = 128 << 10
#: Verdicts that are kept; the one that was not asked for longest goes first.
MOST = 4096


class Verdict(Struct, frozen=True):
    """What is known of a program.

    Attributes:
        cost: what it takes; None if it may not run in the HTTP process.
        outputs: how many it has.
        reason: why it may not.
    """

    cost: Cost | None
    outputs: int = 0
    reason: str = ""

    @property
    def told(self) -> Cost:
        """The cost. Raises ValueError, with the reason, if the program may not run in the HTTP process."""
        if self.cost is None:
            raise ValueError(self.reason)
        return self.cost


def judged(data: bytes) -> Verdict:
    """The verdict on a program. Raises ImportError where the packages for it are not installed."""
    from model_store.acceleration import codes, trust
    from model_store.formats.onnx.bounds import cost_of
    from model_store.formats.onnx.checks import RULES, parse, width_of
    from model_store.formats.rules import Audit

    audit = Audit()
    try:
        model = parse(data, audit)
        audit.apply(RULES, model)
        cost = cost_of(model)
        codes.read(model, width_of(model))
        trust.read(model, width_of(model))
    except (Refused, ValueError) as error:
        return Verdict(None, reason=str(error))
    return Verdict(cost, len(model.graph.output))


class Verdicts:
    """The verdicts on stored programs.

    Args:
        artifacts: where the bytes are.
        pool: has the host that judges; without one, all are looked at here.
    """

    def __init__(self, artifacts: Artifacts, pool: HostPool | None = None) -> None:
        self._artifacts = artifacts
        self._pool = pool
        self._known: OrderedDict[str, Verdict] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, digest: str, size: int) -> Verdict:
        """The verdict on a program.

        Raises:
            ArtifactCorrupt: its bytes are damaged or gone.
            ServingError: the host that judges had no time for it, or did not survive it.
        """
        with self._lock:
            if known := self._known.get(digest):
                self._known.move_to_end(digest)
                return known
        local = size <= SMALL or self._pool is None
        found = judged(self.read(digest)) if local else self._asked(digest, size)
        with self._lock:
            self._known[digest] = found
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        return found

    def read(self, digest: str) -> bytes:
        """The bytes of a program. Raises ArtifactCorrupt if they are not those."""
        with self._artifacts.open(digest) as file:
            data = file.read()
        if digest_of(io.BufferedReader(io.BytesIO(data))) != digest:
            raise ArtifactCorrupt("The stored bytes of this version are damaged.")
        return data

    def _asked(self, digest: str, size: int) -> Verdict:
        assert self._pool is not None  # noqa: S101 - `of` has looked
        request = frames.Judge(str(self._artifacts.path(digest).absolute()), digest)
        with self._pool.apart(Role.JUDGE, CHECK_SECONDS) as host:
            reply, _ = host.call(request, [], CHECK_SECONDS, allowance_to_check(size))
        assert isinstance(reply, frames.Judged)  # noqa: S101 - the only reply to Judge besides Failed
        return Verdict(reply.cost, reply.outputs, reply.reason)
