"""Every setting: what feeds the flags of `serve`, the environment variables, `--help` and the docs.

To add a setting: add a field to `Settings`, then run `python scripts/dev.py docs`.
"""

import math
import os
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from model_store.cores import available
from model_store.environment import OnDrift
from model_store.footprint import machine
from model_store.safety import Policy

PREFIX = "WSGI_SERVICE_"
MEGABYTE = 1 << 20
#: Threads that uploads and predicts never take, so that health and registry always have one.
RESERVED_THREADS = 4
#: Model hosts where none are set, and bytes of the machine that each has: models are loaded in all of them.
FEWEST_HOSTS, MOST_HOSTS, MEMORY_PER_HOST = 2, 8, 4 << 30
#: Threads where none are set.
THREADS, THREADS_PER_HOST = 16, 8
#: Marks a setting that must not stand on a command line.
SECRET = object()


class Settings(Struct, frozen=True, kw_only=True):
    """How a server runs: the type of each setting, its bounds, what it means, and what it is without being set."""

    listen: Annotated[
        str,
        "HOST:PORT to listen on. Without this, PORT (then on 0.0.0.0) and HTTP_PLATFORM_PORT (then on 127.0.0.1) "
        "are read from the environment. Port 0 takes a free one.",
    ] = "127.0.0.1:8080"
    data: Annotated[
        str,
        "The folder for registry, artifacts and temporary files; made if it is not there.",
    ] = "var"
    token: Annotated[
        str,
        SECRET,
        "Bearer token that every change needs. To listen on anything but this machine itself, this or a token "
        "made by `wsgi-service token create` is needed.",
    ] = ""
    token_for_reads: Annotated[bool, "Ask for the token for reading and predicting as well."] = False
    insecure: Annotated[
        bool,
        "Listen on other addresses without a token. Anyone who reaches the port can change models.",
    ] = False
    allowed_hosts: Annotated[
        str,
        "Comma-separated names that a request's Host may have; '*' for any. Empty: on a loopback address its own "
        "names, otherwise any.",
    ] = ""
    trusted_proxy: Annotated[
        str,
        "The address of a reverse proxy, such as 127.0.0.1, whose X-Forwarded-For and X-Forwarded-Proto are "
        "believed.",
    ] = ""
    connections_per_address: Annotated[
        int,
        Meta(ge=0),
        "Connections that one address may have at a time, for each server process; the trusted proxy may have "
        "any. 0: no limit.",
    ] = 0
    processes: Annotated[
        int,
        Meta(gt=0),
        "Server processes that share the port, each with its own threads and model hosts. What one changes, all "
        "know before it is answered.",
    ] = 1
    threads: Annotated[
        int,
        Meta(ge=0),
        "Threads for requests. Four of them are kept free of uploads and predicts. 0: 16, and 8 for each host.",
    ] = 0
    hosts: Annotated[
        int,
        Meta(ge=0),
        "Model host processes that serve at the most; each is started when requests wait for one. From 2 on, no "
        "version holds all of them. 0: from 2 to 8, one for each core and each 4 GB of memory that a server "
        "process has.",
    ] = 0
    isolation: Annotated[
        Literal["fork", "spawn"],
        "fork or spawn: whether model hosts are forked from one process that has imported scikit-learn, in "
        "milliseconds, or each is a process that imports it for itself and shares nothing. Elsewhere than on "
        "Linux they are spawned.",
    ] = "fork"
    upload_limit: Annotated[int, Meta(gt=0), "Largest upload in MB."] = 512
    predict_limit: Annotated[int, Meta(gt=0), "Largest body of a predict in MB."] = 16
    row_limit: Annotated[int, Meta(gt=0), "Most rows in one predict."] = 100_000
    predict_deadline: Annotated[
        float,
        Meta(gt=0),
        "Seconds after which a predict is stopped and answered with 504.",
    ] = 30.0
    inspect_deadline: Annotated[float, Meta(gt=0), "Seconds that checking an upload may take."] = 60.0
    startup_limit: Annotated[float, Meta(gt=0), "Seconds that a model host may take to start."] = 60.0
    drain_deadline: Annotated[
        float,
        Meta(ge=0),
        "Seconds that requests under way may take to finish when the server is stopped.",
    ] = 10.0
    model_memory: Annotated[
        int,
        Meta(ge=0),
        "MB that the models in all serving hosts together may take. 0: half of the machine's memory.",
    ] = 0
    acceleration: Annotated[
        Literal["on", "off"],
        "on or off: whether versions are converted to ONNX programs, which answer in the estimator's place once "
        'they are proven to answer the same. Needs the extra: pip install "wsgi-service[onnx]"',
    ] = "on"
    acceleration_wait: Annotated[
        float,
        Meta(ge=0),
        "Seconds that an upload waits for its program; after that it is finished in the background.",
    ] = 10.0
    programs_in_process: Annotated[
        Literal["proven", "all"],
        "proven or all: which ONNX programs run in the server process itself, where they need no model host. "
        "proven: those that were made of an estimator here. all: also those that were uploaded, as far as it is "
        "known beforehand what they take.",
    ] = "proven"
    allow_pickle: Annotated[
        bool,
        "Take pickle and joblib files as well. Reading one runs whatever code is in it, with the server's rights.",
    ] = False
    trust: Annotated[
        str,
        "Comma-separated dotted names of classes and functions that models may hold besides scikit-learn's own, "
        "as in my_package.MyTransformer. They must be installed beside the server, and run in model hosts.",
    ] = ""
    on_drift: Annotated[
        OnDrift,
        "refuse, warn or allow: what to do about models of another Python, scikit-learn, numpy or scipy than "
        "runs here. refuse takes no upload of them and moves no alias to them; what serves already goes on "
        "serving.",
    ] = "warn"
    require_preconditions: Annotated[
        bool,
        "Move and delete aliases only for requests that have If-Match (else 428).",
    ] = False
    log_level: Annotated[Literal["debug", "info", "warning", "error"], "debug, info, warning or error."] = "info"
    log_format: Annotated[Literal["text", "json"], "text, or json for an object in each line."] = "text"
    log_file: Annotated[
        str,
        "Write the log to this file instead of the standard error. It is begun anew at 10 MB, and five older "
        "ones are kept. Of several processes the second writes to NAME.1.EXT, and so on.",
    ] = ""
    opentelemetry: Annotated[
        bool,
        "Send a span for each request by OTLP over HTTP, set up by OpenTelemetry's own OTEL_* variables "
        "(`[opentelemetry]` extra).",
    ] = False
    prediction_log: Annotated[
        str,
        "Which part of the predicts of which models is kept in files under `predictions` in the data folder, "
        "rows included: NAME=SHARE with commas between, such as iris=1,churn-*=0.01. Empty: nothing.",
    ] = ""
    prediction_log_limit: Annotated[int, Meta(gt=0), "MB of these files together; then the oldest go."] = 1_000
    prediction_log_days: Annotated[float, Meta(gt=0), "Days after which they go."] = 30.0

    @property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data).absolute()

    @property
    def policy(self) -> Policy:
        """What models may be and hold."""
        names = (name.strip() for name in self.trust.split(","))
        return Policy(self.allow_pickle, tuple(name for name in names if name))

    @property
    def serving_hosts(self) -> int:
        """Model hosts that serve: where none are set, as many as there are cores and memory for."""
        for_memory = machine() // MEMORY_PER_HOST
        return self.hosts or max(FEWEST_HOSTS, min(min(available(), for_memory) // self.processes, MOST_HOSTS))

    @property
    def request_threads(self) -> int:
        """Threads for requests: where none are set, as many as keep the hosts busy."""
        return self.threads or THREADS + THREADS_PER_HOST * self.serving_hosts

    @property
    def model_bytes(self) -> int:
        """Bytes that loaded models may take."""
        return (self.model_memory * MEGABYTE or machine() // 2) // self.processes

    @property
    def shares(self) -> list[tuple[str, float]]:
        """Patterns of models' names, and which part of their requests is kept; the first that fits counts."""
        pairs = (one.partition("=") for one in self.prediction_log.split(",") if one.strip())
        return [(name.strip(), float(share)) for name, _, share in pairs]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return split_address(self.listen)


class Setting(Struct, frozen=True):
    """What `Settings` declares of one of its fields.

    Attributes:
        name: of the field.
        kind: the type of its values.
        default: the value without flag and variable.
        help: what it means.
        choices: the words that it takes; empty where it takes any.
        above, least: its values are greater than, or no less than this; None where nothing is said.
        secret: it has no flag, only a variable.
    """

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    above: float | None = None
    least: float | None = None
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str | None:
        """The flag of `serve`."""
        return None if self.secret else "--" + self.name.replace("_", "-")

    def check(self, value: Any) -> None:
        """Raises InvalidSetting for a value that it does not take."""
        if self.choices and value not in self.choices:
            raise InvalidSetting(f"{self.name} must be {', '.join(self.choices[:-1])} or {self.choices[-1]}")
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidSetting(f"{self.name} must be a number")
        if self.above is not None and not value > self.above:
            raise InvalidSetting(f"{self.name} must be greater than {self.above:g}")
        if self.least is not None and not value >= self.least:
            raise InvalidSetting(f"{self.name} must be {self.least:g} or more")


def _setting(field: FieldInfo) -> Setting:
    kind, *more, help_ = get_args(field.type)
    bounds = next((one for one in more if isinstance(one, Meta)), Meta())
    return Setting(
        field.name,
        type(field.default),
        field.default,
        help_,
        choices=get_args(kind),
        above=bounds.gt,
        least=bounds.ge,
        secret=SECRET in more,
    )


TABLE = tuple(_setting(field) for field in fields(Settings))

EXPOSED = (
    "{} can be reached from other machines. Make tokens for those who may use it: wsgi-service token create "
    "--scope admin. Or set WSGI_SERVICE_TOKEN to a long random text, which every change will need, or allow "
    "anyone to change models with --insecure."
)


class InvalidSetting(ValueError):
    """A setting that cannot be used; the text names it."""


def load(
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    has_tokens: Callable[[Path], bool] = lambda _folder: False,
) -> Settings:
    """Settings from flags, then environment variables, then defaults.

    Args:
        environ: the variables.
        flags: None for those that were not given.
        has_tokens: whether a data folder has tokens, without which a server listens to this machine alone.

    Raises:
        InvalidSetting: naming the setting and what it takes.
    """
    values = _platform_listen(environ)
    for setting in TABLE:
        if text := environ.get(setting.variable):
            values[setting.name] = _parse(setting, text)
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    settings = Settings(**values)
    _check(settings)
    _check_exposure(settings, has_tokens)
    return settings


def split_address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; an IPv6 address stands in brackets. Raises InvalidSetting."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004
        raise InvalidSetting("listen must be HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - an empty host means every address


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _platform_listen(environ: Mapping[str, str]) -> dict[str, Any]:
    """Where a hosting platform wants the server to listen."""
    if port := environ.get("PORT"):
        return {"listen": f"0.0.0.0:{port}"}
    if port := environ.get("HTTP_PLATFORM_PORT"):
        return {"listen": f"127.0.0.1:{port}"}
    return {}


def _parse(setting: Setting, text: str) -> Any:
    kind = setting.kind
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise InvalidSetting(f"{setting.variable} must be true or false")
    try:
        return kind(text)
    except ValueError:
        raise InvalidSetting(f"{setting.variable} must be a {'whole ' if kind is int else ''}number") from None


def _check(settings: Settings) -> None:
    for setting in TABLE:
        setting.check(getattr(settings, setting.name))
    _check_trust(settings)
    _check_proxy(settings.trusted_proxy)
    _check_shares(settings)
    if settings.request_threads <= RESERVED_THREADS:
        raise InvalidSetting(f"threads must be greater than {RESERVED_THREADS}")


def _check_exposure(settings: Settings, has_tokens: Callable[[Path], bool]) -> None:
    host, _ = settings.address
    if not (is_loopback(host) or settings.token or settings.insecure or has_tokens(settings.folder)):
        raise InvalidSetting(EXPOSED.format(settings.listen))


def _check_trust(settings: Settings) -> None:
    for name in settings.policy.trusted:
        parts = name.split(".")
        if len(parts) < 2 or not all(part.isidentifier() for part in parts):  # noqa: PLR2004
            raise InvalidSetting(
                "trust must be dotted names such as my_package.MyTransformer, with commas between"
            )


def _check_proxy(proxy: str) -> None:
    try:
        if proxy:
            ip_address(proxy)
    except ValueError:
        raise InvalidSetting("trusted_proxy must be the address of one machine, such as 127.0.0.1") from None


def _check_shares(settings: Settings) -> None:
    try:
        fits = all(name and 0.0 <= share <= 1.0 for name, share in settings.shares)
    except ValueError:
        fits = False
    if not fits:
        raise InvalidSetting(
            "prediction_log must be NAME=SHARE with commas between, each share from 0 to 1: iris=0.1"
        )


def environment() -> Settings:
    """The settings of this process's environment, for WSGI servers that have no flags of ours."""
    return load(os.environ)
