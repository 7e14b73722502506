"""From a table to a result: the host that has the version, the deadline, and what is noted when it dies."""

import logging
import time
from pathlib import Path
from typing import Any

from model_store.artifacts import Artifacts
from model_store.entities import Attribution, Facts, Version
from model_store.errors import ArtifactCorrupt, StorageError, Unsafe
from model_store.registry import Registry
from wsgi_service.serving import frames
from wsgi_service.serving.errors import Busy, DeadlineExceeded, ModelCrashed
from wsgi_service.serving.frames import Buffer
from wsgi_service.serving.hosts import HostPool
from wsgi_service.serving.process import Host
from wsgi_service.serving.tables import Table, decode_result, encode_table

log = logging.getLogger(__name__)

#: How the answer was computed; later issues add engines beside the estimator itself.
NATIVE = "native"
#: Seconds to read an artifact into a host, beside the deadline of the predict.
LOAD_LIMIT = 60.0
#: Seconds that a predict is given at the least, when it got its host at the last moment.
LEAST = 0.01
#: Estimators that one host keeps at the most; the one that was not used for longest goes first.
LOADED_PER_HOST = 64


class Predictor:
    """Calls a version's method in a model host.

    Args:
        pool: the hosts.
        artifacts: where the bytes are.
        registry: where crashes and damage are noted.
        deadline: seconds a predict may take.
    """

    def __init__(self, pool: HostPool, artifacts: Artifacts, registry: Registry, deadline: float) -> None:
        self._pool = pool
        self._artifacts = artifacts
        self._registry = registry
        self._deadline = deadline

    def predict(self, version: Version, method: str, table: Table, by: Attribution) -> Any:
        """The result of a method for a checked table; see `tables.decode_result` for its form.

        Raises:
            ArtifactCorrupt: the version is not served, because its bytes are damaged.
            ServingError: no host came free, or it crashed, took too long or refused.
        """
        _check_servable(version)
        header, buffers = encode_table(table)
        request = frames.Predict(version.digest, method, header)
        try:
            reply, answer = self._call(version, request, buffers)
        except (ModelCrashed, DeadlineExceeded) as error:
            self._note(version, error, by)
            raise
        except ArtifactCorrupt:
            self._registry.update_version(version.model, version.version, {"state": "corrupt"}, by)
            raise
        assert isinstance(reply, frames.Predicted)  # noqa: S101 - the only reply to Predict besides Failed
        return decode_result(reply.outcome, answer)

    def _call(
        self, version: Version, request: frames.Predict, buffers: list[Buffer]
    ) -> tuple[frames.Reply, list[bytearray]]:
        """Waiting for a host and computing share the deadline; starting and loading have limits of their own."""
        if not self._pool.wait_ready():
            raise Busy("No model host has come up yet. Try again in a moment.")
        until = time.monotonic() + self._deadline
        with self._pool.serving(version.digest, self._deadline) as host:
            left = until - time.monotonic()
            self._ensure_loaded(host, version)
            return host.call(request, buffers, max(left, LEAST))

    def _ensure_loaded(self, host: Host, version: Version) -> None:
        key = version.digest
        if key in host.loaded:
            host.loaded.move_to_end(key)
            return
        if len(host.loaded) >= LOADED_PER_HOST:
            oldest, _ = host.loaded.popitem(last=False)
            host.call(frames.Unload(oldest), [], LOAD_LIMIT)
        path = str(self._artifacts.path(key).absolute())
        host.call(frames.Load(key, path, key, version.format), [], LOAD_LIMIT)
        host.loaded[key] = None

    def _note(self, version: Version, error: Exception, by: Attribution) -> None:
        log.error("%s version %d: %s", version.model, version.version, error)
        try:
            self._registry.record("crash", version, {"reason": type(error).__name__}, by)
        except StorageError:  # the request has its answer without the note
            log.exception("the crash could not be noted")


class HostInspector:
    """An `Inspector` that has uploads judged in the host that never serves.

    Args:
        pool: the hosts.
        limit: seconds a judgement may take.
    """

    def __init__(self, pool: HostPool, limit: float) -> None:
        self._pool = pool
        self._limit = limit

    def inspect(self, path: Path, column_names: tuple[str, ...] | None) -> Facts:
        """See `Inspector`; also raises Busy."""
        request = frames.Inspect(str(path.absolute()), column_names)
        try:
            with self._pool.judging(self._limit) as host:
                reply, _ = host.call(request, [], self._limit)
        except ModelCrashed:
            raise Unsafe("Reading this file crashed the process that checks uploads. It is not taken.") from None
        except DeadlineExceeded:
            raise Unsafe(f"Checking this file took more than {self._limit:g} seconds. It is not taken.") from None
        if not isinstance(reply, frames.Inspected):
            raise Busy("The upload could not be checked. Try again.")
        return reply.facts


def _check_servable(version: Version) -> None:
    if version.state == "corrupt":
        raise ArtifactCorrupt("The stored bytes of this version are damaged, so it is not served.")
