"""Parquet and Arrow bodies are taken apart in a host that does nothing else, since they may be made to harm."""

import sys

from wsgi_service.at_once import elsewhere
from wsgi_service.errors import DeadlineExceeded, InvalidRequest, ModelCrashed, OutOfMemory
from wsgi_service.hosts import frames
from wsgi_service.hosts.buffers import decode_table
from wsgi_service.hosts.limits import allowance_to_check
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.special_host import Role
from wsgi_service.http.budget import Claim
from wsgi_service.rows.tables import TAKEN_APART, Table

#: Bytes that a text has in a list.
PLACE = 8
#: What it means that the host did not live to say what it read.
FATAL = {
    ModelCrashed: "Reading this table crashed the process that reads them.",
    DeadlineExceeded: "Reading this table took too long.",
    OutOfMemory: "Reading this table needed more memory than a body of its size may.",
}


class Unpacking:
    """Takes tables apart.

    Args:
        pool: the hosts.
        limit: seconds that it may take.
    """

    def __init__(self, pool: HostPool, limit: float) -> None:
        self._pool = pool
        self._limit = limit

    def __call__(self, format_: str, body: bytes, row_limit: int, claim: Claim) -> tuple[tuple[str, ...], Table]:
        """The names and the columns of a table; raises like `columnar.read`, or Busy."""
        elsewhere(lasting=False)
        request = frames.Unpack(format_, row_limit)
        before = claim.count
        try:
            with self._pool.apart(Role.READER, self._limit) as host:
                claim.grow(TAKEN_APART)
                reply, buffers = host.call(request, [body], self._limit, allowance_to_check(len(body)))
        except (ModelCrashed, DeadlineExceeded, OutOfMemory) as error:
            raise InvalidRequest(FATAL[type(error)]) from None
        assert isinstance(reply, frames.Unpacked)  # noqa: S101 - the only reply to Unpack besides Failed
        table = decode_table(reply.table, buffers)
        claim.settle(before + _size(table))
        return reply.names, table


def _size(table: Table) -> int:
    """Bytes that a table in columns takes."""
    return sum(
        sum(map(sys.getsizeof, cells.values)) + PLACE * len(cells.values)
        if isinstance(cells.values, list)
        else cells.values.nbytes
        for cells in table.columns
    )
