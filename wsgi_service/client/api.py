"""A client for Python: push estimators, and predict with arrays and DataFrames, as if the model were here."""

import io
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import numpy as np

from wsgi_service.client.remote import DEFAULT_URL, Remote, RemoteError, address
from wsgi_service.client.sending import JSON, NPY, body_of

__all__ = ["Client", "RemoteError"]

#: Seconds for which a busy server is asked again.
PATIENCE = 30.0


class Client:
    """A server.

    Threads may share it: each request has a connection to itself, and those that are idle are kept.

    Args:
        url: of the server; otherwise WSGI_SERVICE_URL, or this machine.
        token: of the server; otherwise WSGI_SERVICE_TOKEN.
        patience: seconds for which a busy server (503 with Retry-After) is asked again.
    """

    def __init__(self, url: str | None = None, token: str | None = None, patience: float = PATIENCE) -> None:
        chosen = url or os.environ.get("WSGI_SERVICE_URL") or DEFAULT_URL
        known = os.environ.get("WSGI_SERVICE_TOKEN", "") if token is None else token
        self._remote = Remote(chosen, known, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; those that a request is using are closed when it is over."""
        self._remote.close()

    def push(
        self,
        model: Any,
        name: str,
        *,
        version: int | None = None,
        live: bool = False,
        class_names: Sequence[str] | None = None,
        column_names: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Upload a model, and return what the server says of the new version.

        Args:
            model: a fitted estimator, which is written with skops, or the path of a file.
            name: of the model.
            version: exactly this one; otherwise the server numbers.
            live: point the alias `live` to it, if it passes its checks.
            class_names: names for people, in the order of the classes.
            column_names: for an estimator that was fitted without any.

        Raises:
            RemoteError: the server refused, or could not be reached.
        """
        names = {"class_names": class_names, "column_names": column_names}
        given = {key: json.dumps(list(value)) for key, value in names.items() if value is not None}
        path = address("models", name, "versions", *([] if version is None else [version]))
        if isinstance(model, str | Path):
            stored = self._upload(Path(model), path, version, given)
        else:
            with tempfile.TemporaryDirectory() as folder:
                stored = self._upload(_dumped(model, Path(folder)), path, version, given)
        if live:
            self.activate(name, stored["version"])
        return stored

    def activate(self, name: str, version: int, alias: str = "live", reason: str | None = None) -> dict[str, Any]:
        """Point an alias to a version, if it passes its checks. Raises RemoteError."""
        body = {"version": version} | ({"reason": reason} if reason else {})
        moved: dict[str, Any] = self._remote.send_json("PUT", address("models", name, "aliases", alias), body)
        return moved

    def predict(
        self,
        name: str,
        rows: Any,
        *,
        method: str | None = None,
        version: int | None = None,
        alias: str | None = None,
    ) -> Any:
        """The predictions for rows, as the estimator itself would give them.

        Args:
            name: of the model.
            rows: an array (rows x columns), also a sparse or a masked one; a DataFrame of pandas or polars, or
                anything that hands out columns as Arrow does; a list or an iterator of lists, records or texts;
                a dict with a list for each column. One record or one text is one row.
            method: one of the version's methods; otherwise `predict`, or `transform`.
            version: which one; otherwise the one that the alias points to.
            alias: which one; otherwise `live`.

        Returns:
            An array with one entry for each row; for a DataFrame of pandas a Series or DataFrame with its index.
            Numbers that are not finite are NaN. Where the entries are of several lengths (probabilities of several
            outputs) or have parts (neighbours), a list with one of these for each row.

        Raises:
            ValueError: the rows are none of these, or hold what cannot be sent; nothing was.
            RemoteError: `document["errors"]` says which rows and columns were wrong.
        """
        body, type_ = body_of(rows, {"method": method} if method else {})
        query = f"?{urlencode({'method': method})}" if method and type_ == NPY else ""
        wanted = {"Content-Type": type_, "Accept": f"{NPY}, {JSON};q=0.5" if type_ == NPY else JSON}
        reply = self._remote.fetch("POST", _place(name, version, alias) + query, body, wanted, safe=True)
        if reply.headers.get_content_type() == NPY:
            return _as_given(np.load(io.BytesIO(reply.content), allow_pickle=False), rows, None)
        answer = json.loads(reply.content)
        return _as_given(_array(answer["predictions"]), rows, answer.get("classes"))

    def ask(
        self, name: str, rows: Any, *, version: int | None = None, alias: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """The whole answer in JSON: who gave it, predictions, labels, classes.

        Args:
            name: of the model.
            rows: as in `predict`.
            version: likewise.
            alias: likewise.
            more: further keys of the request, such as `method`.
        """
        body, type_ = body_of(rows, more, arrays=False)
        place = _place(name, version, alias)
        answer: dict[str, Any] = json.loads(
            self._remote.fetch("POST", place, body, {"Content-Type": type_}, safe=True).content
        )
        return answer

    def models(self) -> list[dict[str, Any]]:
        """The models of the server by name."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self._remote.get(f"/models?limit=1000{token}")
            found += page["models"]
            if "next_page_token" not in page:
                return found
            token = f"&page_token={page['next_page_token']}"

    def versions(self, name: str) -> list[dict[str, Any]]:
        """The versions of a model by number."""
        versions: list[dict[str, Any]] = self._remote.get(address("models", name, "versions"))["versions"]
        return versions

    def _upload(self, file: Path, path: str, version: int | None, names: Mapping[str, str]) -> dict[str, Any]:
        headers = {} if version else {"Idempotency-Key": secrets.token_hex(16)}
        query = f"?{urlencode(names)}" if names else ""
        reply = self._remote.fetch(
            "PUT" if version else "POST", path + query, file.read_bytes(), headers, safe=True
        )
        stored: dict[str, Any] = json.loads(reply.content)
        return stored


def _dumped(estimator: Any, folder: Path) -> Path:
    """An estimator as a skops file."""
    import skops.io

    skops.io.dump(estimator, folder / "model.skops")
    return folder / "model.skops"


def _place(name: str, version: int | None, alias: str | None) -> str:
    if version is not None and alias is not None:
        raise ValueError("Name a version or an alias, not both.")
    who: list[str | int] = ["versions", version] if version is not None else ["aliases", alias] if alias else []
    return address("models", name, *who, "predict")


def _array(entries: list[Any]) -> Any:
    """An array of numbers, of texts, or of objects where there are several kinds; a list where no array fits."""
    if any(isinstance(part, list) for entry in entries if isinstance(entry, list) for part in entry):
        return entries
    kinds = {type(value) for entry in entries for value in (entry if isinstance(entry, list) else [entry])}
    if kinds == {int}:
        array = np.array(entries)
        return array if array.dtype.kind in "iu" else np.array(entries, dtype=object)  # too large for 64 bits
    if kinds <= {int, float, type(None)}:
        return np.array(entries, dtype=np.float64 if type(None) in kinds else None)  # None becomes NaN
    return np.array(entries, dtype=None if len(kinds) == 1 else object)


def _as_given(array: Any, rows: Any, classes: list[Any] | None) -> Any:
    """The array itself, or for a DataFrame of pandas something with its index."""
    pd: Any = sys.modules.get("pandas")
    if pd is None or not isinstance(rows, pd.DataFrame) or isinstance(array, list):
        return array
    if array.ndim == 1:
        return pd.Series(array, index=rows.index, name="prediction")
    names = classes if classes and len(classes) == array.shape[1] else None
    return pd.DataFrame(array, index=rows.index, columns=names)
