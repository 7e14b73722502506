"""A model file that answers in this very process, without a server: checked first, as an upload is."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from model_store.entities import Attribution, Version
from wsgi_service.hosts.buffers import decode_results, encode_results
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.control import HOW
from wsgi_service.rows.row_formats import Format
from wsgi_service.rows.tables import Table
from wsgi_service.rows.unread import Reading
from wsgi_service.serving.answering import Question, answer, methods_for, read_rows
from wsgi_service.serving.directory import Target
from wsgi_service.serving.predictor import Computed
from wsgi_service.serving.wanted import ALWAYS, Wanted

HERE = Attribution("local", "local")


class LocalModel:
    """The model in a file.

    Args:
        path: of the file.

    Raises:
        Refused: it is not a model, or not a safe one.
    """

    def __init__(self, path: Path) -> None:
        from model_store.artifacts.local import digest_of
        from model_store.estimators import facts, loaded

        inspection = facts.inspect(path)
        with path.open("rb") as file:
            digest = digest_of(file)
        described = {name: getattr(inspection.facts, name) for name in inspection.facts.__struct_fields__}
        self.version = Version(model=path.stem, version=1, digest=digest, size=path.stat().st_size, **described)
        self._loaded = loaded.load(path, digest, inspection.facts.format)

    def predict(
        self,
        _version: Version,
        methods: Sequence[str],
        table: Table,
        _by: Attribution,
        _exact: bool = False,
        _wanted: Wanted = ALWAYS,
    ) -> Computed:
        """The result of each method for a table, in the form that a model host gives it."""
        arrays = [(cells.values, cells.valid) for cells in table.columns]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = self._loaded.call(methods, table.matrix, arrays)
        outcomes, buffers = encode_results(results, table.rows)
        return Computed(decode_results(outcomes, [bytearray(buffer) for buffer in buffers]), self.version.engine)

    def ask(
        self,
        body: bytes,
        sent_as: Format,
        wanted: Format,
        method: str | None,
        row_by_row: bool,
        decimal: str,
    ) -> bytes:
        """The answer to a body of one format, in another one; raises as a predict does."""
        sent = sent_as.read(body, {}, UNCOUNTED, HOW)
        methods = [method] if method else methods_for(wanted, self.version.methods)
        question = Question(
            target=Target(self.version, None),
            methods=methods,
            sent=sent,
            reading=Reading(
                sys.maxsize,
                row_by_row,
                decimal,
                _unpack,
            ),
            by=HERE,
        )
        return wanted.write(answer(self, question, read_rows(question)), row_by_row, False)


def _unpack(format_: str, body: bytes, row_limit: int, _claim: Claim) -> tuple[tuple[str, ...], Table]:
    """The names and the columns of a table, which nobody else takes apart here."""
    from wsgi_service.hosts import parquet_and_arrow

    return parquet_and_arrow.read(format_, body, row_limit)
