"""A JSON file in chunks, and answers in JSON as a single one would be."""

import json
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from wsgi_service.errors import InvalidRequest, MalformedBody
from wsgi_service.rows.chunks import Chunk, Joined
from wsgi_service.rows.formats.json_forms import FORMS, rows_in
from wsgi_service.rows.unread import INSTANCES

#: What stands before the predictions in JSON.
HEAD = ("model", "version", "alias", "digest", "method", "classes")


def split(file: BinaryIO, _names: Collection[str], rows: int) -> Iterator[Chunk]:
    """See `Split`: of a list of rows, or an object that has one; it must be in memory as a whole."""
    try:
        content = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"The file is not valid JSON: {error}.") from None
    if isinstance(content, dict):
        content = _rows_of_object(content)
    if not isinstance(content, list):
        raise MalformedBody("The file must hold a list of rows, or an object with one.")
    size, count = file.tell(), max(1, len(content))
    for first in range(0, len(content), rows):
        taken = content[first : first + rows]
        body = json.dumps({INSTANCES: taken}).encode()
        yield Chunk(body=body, first=first, done=size * (first + len(taken)) // count)


def _rows_of_object(content: dict[str, Any]) -> Any:
    """The rows of an object in one of the forms of a predict; otherwise it is a record."""
    form = next((name for name in FORMS if name in content), None)
    if form is None:
        return [content]
    if len(content) > 1:
        raise MalformedBody(f'The file has keys beside "{form}". Say what else there is to say with options.')
    try:
        return rows_in(form, json.dumps(content[form]).encode())
    except InvalidRequest as error:
        raise MalformedBody(str(error)) from None


class JoinedObjects(Joined):
    """One object as a single answer would be, with the predictions and errors of all chunks."""

    _rows = 0

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._errors: list[dict[str, Any]] = []
        self._labels: list[str | None] = []
        self._warnings: dict[str, None] = {}

    def _write(self, answer: bytes, first: bool) -> None:
        said: dict[str, Any] = json.loads(answer)
        if first:
            head = {key: said[key] for key in HEAD if key in said}
            self._file.write(json.dumps(head)[:-1].encode() + b', "predictions": [')
        entries = json.dumps(said["predictions"])[1:-1]
        self._file.write((b"" if first else b", ") + entries.encode())
        self._errors += [{**error, "row": error["row"] + self._rows} for error in said.get("errors", [])]
        self._rows += len(said["predictions"])
        self._labels += said.get("labels", [])
        self._warnings |= dict.fromkeys(said.get("warnings", []))

    def finish(self) -> None:
        """See `Joined`."""
        tail = {"labels": self._labels, "errors": self._errors, "warnings": list(self._warnings)}
        said = "".join(f', "{key}": {json.dumps(value)}' for key, value in tail.items() if value)
        self._file.write(f"]{said}}}\n".encode())
