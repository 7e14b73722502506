"""Versions get a program that was proven to answer like their estimator: made in a host, checked here.

One thread works them off, so an upload waits for its own program only for a while; until then, and where no
program passes, the estimator answers.
"""

import logging
import queue
import threading
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice

import msgspec
from msgspec import UNSET

from model_store.acceleration.report import PENDING, Acceleration
from model_store.artifacts.local import Artifacts
from model_store.entities import LIVE, ONNX, Attribution, Version, now
from model_store.errors import NotFound, StoreError
from model_store.registry import Registry
from model_store.safety import STRICT, Policy
from wsgi_service.errors import Busy, ServingError
from wsgi_service.hosts import frames
from wsgi_service.hosts.limits import CONVERT_SECONDS, allowance_to_convert, give_back
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.special_host import Role
from wsgi_service.hosts.verdicts import Verdict
from wsgi_service.serving.predictor import Predictor
from wsgi_service.serving.runnable import Runnable, runtime
from wsgi_service.serving.warming import every_version, live_versions

log = logging.getLogger(__name__)

#: Live versions that are caught up with at a start.
MOST = 50
SERVER = Attribution("server", "acceleration")
NEEDED = ("skl2onnx", "onnx", "onnxruntime")
#: Whose version, who asked, and what is set when it is done.
Job = tuple[Version, Attribution, threading.Event]


def available() -> bool:
    """Whether everything is installed that programs are made and computed with."""
    return all(find_spec(name) for name in NEEDED)


class Accelerator:
    """Makes programs of estimators.

    Args:
        pool: the hosts.
        artifacts: where programs lie as well.
        registry: where it is written what came of it.
        predictor: has a serving host compute with a program once.
        wait: seconds that an upload waits for its program.
        policy: what the operator allows beyond what is safe for everybody.
        stopped: whether the server is being stopped.
    """

    def __init__(
        self,
        pool: HostPool,
        artifacts: Artifacts,
        registry: Registry,
        predictor: Predictor,
        wait: float,
        policy: Policy = STRICT,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pool = pool
        self._artifacts = artifacts
        self._registry = registry
        self._predictor = predictor
        self._wait = wait
        self._policy = policy
        self._stopped = stopped
        self._jobs: queue.Queue[Job] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def accelerate(self, version: Version, by: Attribution, again: bool = False) -> Version:
        """The version with what came of accelerating it, or that this is still pending.

        Args:
            version: that was uploaded.
            by: who asks.
            again: whether to try once more although that was done.

        Raises:
            StorageError: what came of it cannot be read or written.
            ModelNotFound, VersionNotFound: somebody deleted it meanwhile.
        """
        stored = self._registry.version(version.model, version.version)  # an upload may be a replay of an old one
        tried = stored.acceleration not in (UNSET, "pending")
        if stored.format == ONNX or (tried and not again):
            return stored
        done = self.begin(stored, by)
        done.wait(self._wait)
        return self._registry.version(version.model, version.version)

    def catch_up(self) -> None:
        """Begin with live versions that were left pending or never tried, and all that passed an earlier proof."""
        try:
            for version in islice(live_versions(self._registry), MOST):
                if version.format != ONNX and (
                    version.acceleration in (UNSET, "pending") or _is_outdated(version)
                ):
                    self.begin(version, SERVER)
            for version in every_version(self._registry):
                if _is_outdated(version) and LIVE not in version.aliases:
                    self.begin(version, SERVER)
        except StoreError as error:
            log.warning("versions were not looked through for acceleration: %s", error)

    def begin(self, version: Version, by: Attribution) -> threading.Event:
        """Have a version converted and compared, once more if it was; what is returned is set when it is done."""
        done = threading.Event()
        if version.acceleration != "pending" and (version.program is UNSET or _is_outdated(version)):
            self._registry.set_acceleration(version.model, version.version, PENDING, by)
        self._jobs.put((version, by, done))
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="accelerator", daemon=True)
                self._thread.start()
        return done

    def _run(self) -> None:
        """Work off what waits."""
        while not self._stopped():
            version, by, done = self._jobs.get()
            try:
                self._work(version, by)
            except Exception:  # whatever it is, the estimator answers, and the next one is tried
                log.exception("%s version %d was not accelerated", version.model, version.version)
            finally:
                done.set()
                give_back()  # a program that is looked at takes many times its size

    def _work(self, version: Version, by: Attribution) -> None:
        try:
            report, data = self._made(version)
        except Busy:
            return  # it stays pending, and is tried again at the next start
        except (ServingError, StoreError) as error:
            report, data = _failed(f"The estimator answers itself: {error}"), b""
        if self._stopped():
            return
        try:
            self._keep(version, report, data, by)
        except Busy:
            return
        except NotFound:
            log.info("%s version %d was deleted before it was accelerated", version.model, version.version)

    def _made(self, version: Version) -> tuple[Acceleration, bytes]:
        """The report of a host, and the program that it made. Raises ServingError or StoreError."""
        examples = self._registry.examples(version.model, version.version)
        request = frames.Accelerate(
            str(self._artifacts.path(version.digest).absolute()),
            version.digest,
            version.format,
            examples.rows if examples else (),
            self._policy,
        )
        with self._pool.apart(Role.CONVERTER, CONVERT_SECONDS) as host:
            reply, buffers = host.call(request, [], CONVERT_SECONDS, allowance_to_convert(version.size))
        assert isinstance(reply, frames.Accelerated)  # noqa: S101 - the only reply to Accelerate besides Failed
        return reply.report, bytes(buffers[0])

    def _keep(self, version: Version, report: Acceleration, data: bytes, by: Attribution) -> None:
        """Write down what came of it, and keep the program if it holds here as well."""
        if not data or report.program is UNSET:
            verdict = report if report.verdict == "failed" else _failed("The host gave no program.")
            self._registry.set_acceleration(version.model, version.version, verdict, by)
            return
        staged = self._artifacts.stage([data])
        try:
            self._artifacts.keep(staged)
            program = msgspec.structs.replace(
                report.program, digest=staged.digest, size=staged.size, runtime=runtime()
            )
            refused = self._refusal(version, Runnable(program.digest, program.size, program.methods), by)
            verdict = refused or msgspec.structs.replace(report, program=program)
            self._registry.set_acceleration(
                version.model, version.version, verdict, by, lambda: self._artifacts.confirm(staged.digest)
            )
        finally:
            self._artifacts.discard(staged)

    def _refusal(self, version: Version, found: Runnable, by: Attribution) -> Acceleration | None:
        """The report about a program that is not taken; None if it passes and a host computes with it.

        Raises Busy if there was no host to try it in.
        """
        try:
            verdict = self._predictor.verdicts.of(found.digest, found.size)
            _check_claims(version, found, verdict)
            self._predictor.try_program(version, found, by)
        except ValueError as error:
            return _failed(f"The estimator answers itself, since its program is not taken: {error}")
        except Busy:
            raise
        except (ServingError, StoreError) as error:
            return _failed(f"The estimator answers itself, since no host could compute with its program: {error}")
        return None


def _check_claims(version: Version, found: Runnable, verdict: Verdict) -> None:
    """Raises ValueError for a program that is not bounded, or is said to answer what it cannot be asked for."""
    if verdict.cost is None:
        raise ValueError(verdict.reason)
    if len(found.methods) > verdict.outputs or not set(found.methods) <= set(version.methods):
        raise ValueError("it has not the outputs that are claimed for it")


def _is_outdated(version: Version) -> bool:
    """Whether its program passed another proof than that of today, so that the estimator answers meanwhile."""
    return version.program is not UNSET and not version.program.current


def _failed(reason: str) -> Acceleration:
    return Acceleration(verdict="failed", reason=reason, at=now())
