"""What travels between the HTTP process and a model host: a typed header and raw buffers.

A frame is a prefix (header length and number of buffers, then each buffer's length, little endian), a msgpack
header, and the buffers as they lie in memory. Both sides check every length before they allocate, and nobody
unpickles what the other says.
"""

import struct
from collections.abc import Sequence
from typing import BinaryIO, TypeVar

import msgspec
from msgspec import Struct

from model_store.acceleration.report import Acceleration
from model_store.entities import Inspection
from model_store.formats.onnx.cost import Cost
from model_store.proof.quality import Quality
from model_store.safety import STRICT, Policy, Report
from model_store.schema import Scalar
from wsgi_service.rows.tables import CellKind

MAX_HEADER = 64 << 20
MAX_BUFFERS = 100_000
MAX_BODY = 8 << 30
#: Answers are held in memory as a whole, and no honest one is larger.
MAX_REPLY = 256 << 20
#: Frames up to this many bytes are sent with one system call.
JOINED = 1 << 16
PREFIX = struct.Struct("<II")
T = TypeVar("T")

Buffer = bytes | bytearray | memoryview


class Column(Struct, frozen=True):
    """One column of a table: its kind, and whether a validity bitmap follows its values.

    `f8`, `i8`, `bool` and `time` (microseconds since 1970) are one buffer; `text` is one of int64 offsets
    (rows + 1) and one of UTF-8.
    """

    kind: CellKind
    nullable: bool = False


class Table(Struct, frozen=True):
    """Rows to predict: a float64 matrix of `width` columns (row-major), or typed columns."""

    rows: int
    width: int = 0
    columns: tuple[Column, ...] = ()


class Array(Struct, frozen=True, tag="array"):
    """A dense numeric result, one buffer."""

    dtype: str
    shape: tuple[int, ...]


class Text(Struct, frozen=True, tag="text"):
    """Strings in C order: one buffer of int64 offsets and one of UTF-8."""

    shape: tuple[int, ...]


class Sparse(Struct, frozen=True, tag="sparse"):
    """A CSR matrix: buffers of float64 data, int64 indices and int64 index pointers."""

    shape: tuple[int, int]


class Several(Struct, frozen=True, tag="several"):
    """A list of dense arrays, as predict_proba gives for several outputs; one buffer each."""

    parts: tuple[Array, ...]


class Values(Struct, frozen=True, tag="values"):
    """Scalars of several kinds in C order; one buffer of msgpack."""

    shape: tuple[int, ...]


Outcome = Array | Text | Sparse | Several | Values


class Inspect(Struct, frozen=True, tag="inspect"):
    """Judge an artifact."""

    path: str
    column_names: tuple[str, ...] | None = None
    policy: Policy = STRICT


class Load(Struct, frozen=True, tag="load"):
    """Read an artifact and keep its estimator under `key`."""

    key: str
    path: str
    digest: str
    format: str
    policy: Policy = STRICT


class Unload(Struct, frozen=True, tag="unload"):
    """Forget the estimator under `key`."""

    key: str


class Predict(Struct, frozen=True, tag="predict"):
    """Call methods of the estimator under `key`; the table's buffers follow.

    Attributes:
        judged: whether it is looked at whether the results make sense.
    """

    key: str
    methods: tuple[str, ...]
    table: Table
    judged: bool = False


class Unpack(Struct, frozen=True, tag="unpack"):
    """Take a Parquet or Arrow table of at most `row_limit` rows apart; its bytes follow."""

    format: str
    row_limit: int


class Draw(Struct, frozen=True, tag="draw"):
    """Draw how well a version answers its examples."""

    quality: Quality


class Accelerate(Struct, frozen=True, tag="accelerate"):
    """Make a program of an artifact's estimator and prove it, on these rows of the version besides others."""

    path: str
    digest: str
    format: str
    examples: tuple[tuple[Scalar, ...], ...] = ()
    policy: Policy = STRICT


class Judge(Struct, frozen=True, tag="judge"):
    """Find out whether a program may run in the HTTP process, and what it takes."""

    path: str
    digest: str


class Ready(Struct, frozen=True, tag="ready"):
    """The host has imported everything and listens."""

    environment: dict[str, str]


class Inspected(Struct, frozen=True, tag="inspected"):
    """The facts about an artifact, and its safety report."""

    inspection: Inspection


class Done(Struct, frozen=True, tag="done"):
    """Loaded or unloaded; when loaded, how many bytes that took, and whether rows of requests may be joined."""

    memory: int = 0
    joinable: bool = False


class Predicted(Struct, frozen=True, tag="predicted"):
    """The results of the methods in their order; their buffers follow."""

    outcomes: tuple[Outcome, ...]


class Unpacked(Struct, frozen=True, tag="unpacked"):
    """The names of the columns, whose buffers follow."""

    names: tuple[str, ...]
    table: Table


class Accelerated(Struct, frozen=True, tag="accelerated"):
    """The report; the program follows, empty if none passed."""

    report: Acceleration


class Judged(Struct, frozen=True, tag="judged"):
    """What a program takes and how many outputs it has, or why it may not run in the HTTP process."""

    cost: Cost | None
    outputs: int
    reason: str


class Drawn(Struct, frozen=True, tag="drawn"):
    """The pictures, as SVG."""

    pictures: list[str]


class Failed(Struct, frozen=True, tag="failed"):
    """The work was refused. `kind` names an error class that both sides know."""

    kind: str
    message: str
    report: Report | None = None
    extra: str = ""


Request = Inspect | Load | Unload | Predict | Unpack | Draw | Accelerate | Judge
Reply = Ready | Inspected | Done | Predicted | Unpacked | Drawn | Accelerated | Judged | Failed

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


class BrokenFrame(Exception):
    """What arrived is not a frame, or it ended in the middle."""


def write(stream: BinaryIO, header: Request | Reply, buffers: Sequence[Buffer] = ()) -> None:
    """Send a frame. Raises OSError when the other side is gone."""
    encoded = _encoder.encode(header)
    sizes = [memoryview(buffer).nbytes for buffer in buffers]
    prefix = PREFIX.pack(len(encoded), len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes)
    if sum(sizes) <= JOINED:
        _write_all(stream, b"".join((prefix, encoded, *buffers)))
        return
    _write_all(stream, prefix + encoded)
    for buffer in buffers:
        _write_all(stream, buffer)


def read_request(stream: BinaryIO) -> tuple[Request, list[bytearray]]:
    """The next request. Raises EOFError at the end of the stream, BrokenFrame inside a frame."""
    header, buffers = _read(stream)
    return _decode(_requests, header), buffers


def read_reply(stream: BinaryIO, most: int = MAX_REPLY) -> tuple[Reply, list[bytearray]]:
    """The next reply, whose buffers have at most so many bytes; raises like `read_request`."""
    header, buffers = _read(stream, most)
    return _decode(_replies, header), buffers


def _read(stream: BinaryIO, most: int = MAX_BODY) -> tuple[bytearray, list[bytearray]]:
    start = stream.read(PREFIX.size)
    if not start:
        raise EOFError
    if len(start) < PREFIX.size:
        raise BrokenFrame("a frame ended in its prefix")
    length, count = PREFIX.unpack(start)
    if length > MAX_HEADER or count > MAX_BUFFERS:
        raise BrokenFrame("a frame claims to be too large")
    sizes = struct.unpack(f"<{count}Q", _read_exactly(stream, 8 * count))
    if sum(sizes) > most:
        raise BrokenFrame("a frame claims to be too large")
    return _read_exactly(stream, length), [_read_exactly(stream, size) for size in sizes]


def _read_exactly(stream: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        received = stream.readinto(view)  # type: ignore[attr-defined]
        if not received:
            raise BrokenFrame("a frame ended in the middle")
        view = view[received:]
    return data


def _write_all(stream: BinaryIO, data: Buffer) -> None:
    view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
    while view:
        view = view[stream.write(view) :]


def _decode(decoder: "msgspec.msgpack.Decoder[T]", header: bytearray) -> T:
    try:
        return decoder.decode(header)
    except msgspec.DecodeError as error:
        raise BrokenFrame("a frame has a header of another kind") from error
