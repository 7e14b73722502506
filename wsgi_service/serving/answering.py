"""From rows that were sent to an answer: the one way for every address, page and dialect."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from model_store.entities import Attribution, Version
from model_store.methods import usual_method
from model_store.proof.examples import PROBABILITIES
from wsgi_service.rows.answer import Answer
from wsgi_service.rows.row_formats import Format
from wsgi_service.rows.tables import Table
from wsgi_service.rows.unread import Read, Reading, Sent
from wsgi_service.serving.directory import Target
from wsgi_service.serving.predictor import Computed
from wsgi_service.serving.wanted import ALWAYS, Wanted


class Predicts(Protocol):
    """Whatever has versions answer."""

    def predict(
        self,
        version: Version,
        methods: Sequence[str],
        table: Table,
        by: Attribution,
        exact: bool = False,
        wanted: Wanted = ALWAYS,
    ) -> Computed:
        """The result of each method for a checked table; see `Predictor.predict`."""


class Question(Struct, frozen=True, kw_only=True):
    """What is asked.

    Attributes:
        target: the version, and the alias by which it was found.
        methods: that are called.
        sent: the rows.
        reading: how they are read.
        by: who asks.
        several: whether several methods were named.
        exact: whether the estimator itself answers, for these rows alone.
        wanted: whether somebody still waits for the answer.
    """

    target: Target
    methods: list[str]
    sent: Sent
    reading: Reading
    by: Attribution
    several: bool = False
    exact: bool = False
    wanted: Wanted = ALWAYS


def methods_for(format_: Format, available: Sequence[str]) -> list[str]:
    """The methods where none is named: the usual one, and in a table the probabilities beside it."""
    methods = [usual_method(available)]
    if format_.table and PROBABILITIES in available and methods != [PROBABILITIES]:
        methods.append(PROBABILITIES)
    return methods


def read_rows(question: Question) -> Read:
    """The rows of a question. Raises InvalidRows, InvalidRequest, MalformedBody, TooManyRows, TooLargeDecoded."""
    claim = question.sent.claim
    try:
        read = question.sent.read(question.target.version.schema, question.reading)
    finally:
        claim.end()
    if read.table is not None and read.table.matrix is not None and not read.passing:
        claim.settle(claim.kept + read.table.matrix.nbytes)
    return read


def answer(predictor: Predicts, question: Question, read: Read) -> Answer:
    """The answer of the version to rows that were read. Raises ServingError or StoreError."""
    version = question.target.version
    computed = _computed(predictor, question, read)
    return Answer(
        version=version,
        engine=computed.engine,
        estimator_rows=computed.estimator_rows,
        alias=question.target.alias,
        results=dict(zip(question.methods, computed.results, strict=True)),
        read=read,
        request_id=question.by.request_id,
        several=question.several,
        flat=question.sent.flat,
    )


def _computed(predictor: Predicts, asked: Question, read: Read) -> Computed:
    """The result of each method (None where no row is right), and what computed them."""
    version = asked.target.version
    if read.table is None:
        return Computed([None] * len(asked.methods), version.engine)
    return predictor.predict(version, asked.methods, read.table, asked.by, asked.exact, asked.wanted)
