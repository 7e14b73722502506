"""What keeps a server from running well here: one function for each thing that is looked at.

To add a check: a function that takes the settings and yields findings, and its name in `CHECKS`.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Literal

from msgspec import Struct

from model_store.artifacts.private import make_folder
from wsgi_service.processes import launch
from wsgi_service.server.listening import bind
from wsgi_service.settings import MEGABYTE, Settings, is_loopback

Verdict = Literal["ok", "note", "wrong"]
#: Extra -> the package that tells whether it is installed, and what it is for.
EXTRAS = {
    "onnx": ("onnxruntime", "programs that answer faster than the estimators"),
    "pandas": ("pandas", "estimators that select columns by name"),
    "arrow": ("pyarrow", "Parquet and Arrow as rows and answers"),
    "docs": ("swagger-ui-py", "the page /docs"),
    "plots": ("matplotlib", "pictures on the pages of versions"),
    "opentelemetry": ("opentelemetry-sdk", "spans of requests"),
    "windows": ("pywin32", "the Windows service"),
}
CORE = ("scikit-learn", "numpy", "skops", "waitress", "werkzeug", "SQLAlchemy")
LEAST_FREE = 1024 * MEGABYTE
LEAST_FILES = 4096
#: Seconds by which the clock of the folder's disk may differ from the machine's.
SKEW = 5.0
#: When this was written: 2025-01-01.
EARLIEST = 1_735_689_600


class Finding(Struct, frozen=True):
    """What was found.

    Attributes:
        what: was looked at.
        verdict: wrong if a server would not run, or not well.
        message: how it is, and what to do about it.
    """

    what: str
    verdict: Verdict
    message: str


def diagnose(settings: Settings) -> list[Finding]:
    """Everything that was found, in the order of `CHECKS`."""
    return [finding for check in CHECKS for finding in check(settings)]


def _python(_settings: Settings) -> Iterator[Finding]:
    releases = ", ".join(f"{name} {metadata.version(name)}" for name in CORE)
    yield Finding("python", "ok", f"{sys.version.split()[0]} on {sys.platform}: {releases}")


def _extras(_settings: Settings) -> Iterator[Finding]:
    for extra, (package, use) in EXTRAS.items():
        if extra == "windows" and sys.platform != "win32":
            continue
        try:
            yield Finding(f"[{extra}]", "ok", f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            yield Finding(f"[{extra}]", "note", f'not installed: {use}. pip install "wsgi-service[{extra}]"')


def _folder(settings: Settings) -> Iterator[Finding]:
    """Whether files can be made, turned over and removed in the data folder."""
    folder = settings.folder
    try:
        make_folder(folder)
        probe = folder / f".doctor-{os.getpid()}"
        probe.write_bytes(b"1")
        written = probe.stat().st_mtime
        probe.replace(probe.with_suffix(".2"))
        probe.with_suffix(".2").unlink()
    except OSError as error:
        yield Finding(
            "data", "wrong", f"{folder} cannot be written: {error.strerror}. Choose another one with --data"
        )
        return
    yield Finding("data", "ok", f"{folder} can be written")
    yield from _clock(written)
    free = shutil.disk_usage(folder).free
    verdict: Verdict = "ok" if free >= LEAST_FREE else "wrong"
    advice = (
        "" if verdict == "ok" else "; uploads are spooled there. Make room, or choose another disk with --data"
    )
    yield Finding("disk", verdict, f"{free // MEGABYTE} MB are free{advice}")


def _privacy(settings: Settings) -> Iterator[Finding]:
    """Whether what is in the data folder is its user's alone; on Windows its access list says that."""
    from wsgi_service.processes.privacy import loose

    if os.name == "nt":
        return
    try:
        found = next(iter(loose(settings.folder)), None)
    except OSError as error:
        yield Finding("privacy", "wrong", f"The data folder cannot be looked at: {error.strerror}")
        return
    if found is None:
        yield Finding("privacy", "ok", "nobody else can look at the registry, artifacts, predictions and sessions")
    else:
        advice = "A start of the server takes that from them, or: chmod -R go-rwx"
        yield Finding("privacy", "wrong", f"Others can look at {found.relative_to(settings.folder)}. {advice}")


def _clock(written: float) -> Iterator[Finding]:
    now = time.time()
    if now < EARLIEST:
        yield Finding("clock", "wrong", "The clock is years behind: tokens and histories need the time. Set it")
    elif abs(now - written) > SKEW:
        yield Finding(
            "clock", "wrong", "The data folder's disk has another time than this machine. Set their clocks"
        )
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))


def _registry(settings: Settings) -> Iterator[Finding]:
    from model_store.errors import StoreError
    from model_store.opening import REGISTRY, look_at

    try:
        if not (settings.folder / REGISTRY).is_file():
            yield Finding("registry", "note", "there is none yet; the first start makes it")
            return
        registry = look_at(settings.folder).registry
        try:
            flaws = registry.flaws()
            counted = f"{registry.count_models()} models, {registry.count_versions()} versions"
        finally:
            registry.close()
    except (StoreError, RuntimeError, OSError) as error:
        yield Finding("registry", "wrong", str(error))
        return
    yield Finding("registry", "wrong" if flaws else "ok", " ".join(flaws) or counted)


def _port(settings: Settings) -> Iterator[Finding]:
    try:
        bind(*settings.address).close()
    except OSError as error:
        message = f"{settings.listen} cannot be listened on: {error.strerror}."
        advice = "If that is no server of yours at work, choose another with --listen"
        yield Finding("port", "wrong", f"{message} {advice}")
    else:
        yield Finding("port", "ok", f"{settings.listen} is free")


def _access(settings: Settings) -> Iterator[Finding]:
    if launch.has_tokens(settings.folder):
        yield Finding("access", "ok", "everything needs a token")
    elif settings.token:
        yield Finding("access", "ok", "changes need the token of WSGI_SERVICE_TOKEN")
    elif is_loopback(settings.address[0]) and not settings.trusted_proxy:
        yield Finding("access", "ok", "no tokens, and only this machine reaches the server")
    else:
        advice = "Make a token: wsgi-service token create --scope admin"
        yield Finding("access", "wrong", f"Others can change models. {advice}")


if sys.platform == "win32":

    def _files(_settings: Settings) -> Iterator[Finding]:
        """Nothing: there is no such limit."""
        yield from ()

else:

    def _files(_settings: Settings) -> Iterator[Finding]:
        """How many files and connections a process may have open."""
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        advice = "" if most >= LEAST_FILES else "; 1,000 connections and the hosts may need more: ulimit -n 8192"
        yield Finding("files", "ok" if most >= LEAST_FILES else "note", f"{most} may be open{advice}")


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _python,
    _extras,
    _folder,
    _privacy,
    _registry,
    _port,
    _access,
    _files,
)
