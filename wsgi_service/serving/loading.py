"""Versions are loaded into model hosts, and make room there for others."""

import logging

from model_store.artifacts.local import Artifacts
from model_store.entities import Version
from model_store.environment import drift
from model_store.safety import Policy
from wsgi_service.hosts import frames
from wsgi_service.hosts.process import Host
from wsgi_service.serving.recent import Recent

log = logging.getLogger(__name__)

#: Seconds to read an artifact into a host, beside the deadline of the predict.
LOAD_LIMIT = 60.0
#: Estimators that one host keeps at the most; the one that was not used for longest goes first.
LOADED_PER_HOST = 64


class Loading:
    """Loads versions.

    Args:
        artifacts: where the bytes are.
        policy: what the operator allows beyond what is safe for everybody.
        share: bytes that the models in one host may take; 0 for no limit.
    """

    def __init__(self, artifacts: Artifacts, policy: Policy, share: int) -> None:
        self._artifacts = artifacts
        self._policy = policy
        self._share = share
        #: Digests of versions whose rows may stand in one call with those of other requests.
        self._joinable: Recent[str, bool] = Recent()
        #: Digest -> bytes that its estimator took in the host that loaded it last.
        self._measured: Recent[str, int] = Recent()

    def is_joinable(self, version: Version) -> bool:
        """Whether rows of several requests may stand in one call, as a host has found that loaded the version."""
        return version.digest in self._joinable

    def ensure(self, host: Host, version: Version) -> None:
        """Have a version loaded in a host. Raises what `Host.call` does."""
        key = version.digest
        if key in host.loaded:
            host.loaded.move_to_end(key)
        else:
            self._load(host, version)
        if key in host.joinable:
            self._joinable.put(key, value=True)

    def _load(self, host: Host, version: Version) -> None:
        key = version.digest
        self._make_room(host, self._measured.get(key, version.size))
        path = str(self._artifacts.path(key).absolute())
        reply, _ = host.call(frames.Load(key, path, key, version.format, self._policy), [], LOAD_LIMIT)
        assert isinstance(reply, frames.Done)  # noqa: S101 - the only reply to Load besides Failed
        host.loaded[key] = reply.memory
        self._measured.put(key, reply.memory)
        if reply.joinable:
            host.joinable.add(key)
        for drifted in drift(version.format, version.fitted, version.environment):
            log.info("%s version %d: %s", version.model, version.version, drifted)

    def _make_room(self, host: Host, needed: int) -> None:
        """Unload the least recently used estimators until there is room for `needed` bytes."""
        share = self._share
        while host.loaded and (
            len(host.loaded) >= LOADED_PER_HOST or (share and sum(host.loaded.values()) + needed > share)
        ):
            oldest, _ = host.loaded.popitem(last=False)
            host.joinable.discard(oldest)
            host.call(frames.Unload(oldest), [], LOAD_LIMIT)
