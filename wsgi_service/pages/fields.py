"""The form of a version: one field for each of its columns, of the kind that fits, with the sample in it."""

from collections.abc import Mapping
from typing import Literal

from msgspec import UNSET, Struct

from model_store.schema import Column, Scalar, Schema
from wsgi_service.errors import RowError
from wsgi_service.rows.formats.csv_body import text_of

#: Categories up to which a select is of use.
MOST_CHOICES = 200
#: Columns up to which people fill in a form.
MOST_FIELDS = 200
Kind = Literal["number", "select", "text", "long"]


class Field(Struct, frozen=True, kw_only=True):
    """One field of a form.

    Attributes:
        name: of the column.
        kind: how it is filled in.
        step: of a number: `1`, or `any`.
        value: what stands in it.
        choices: to select from, or to suggest.
        optional: whether it may be left empty.
        hint: what is to be known about it.
        error: what was wrong with what was sent.
    """

    name: str
    kind: Kind
    step: str = "any"
    value: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False
    hint: str = ""
    error: str = ""


def fields_of(
    schema: Schema, given: Mapping[str, str] | None = None, errors: tuple[RowError, ...] = ()
) -> list[Field]:
    """The fields of a version's form.

    Args:
        schema: of the version.
        given: what was filled in before; otherwise the samples stand there.
        errors: what was wrong with that.
    """
    said = {error.column: error.message for error in errors}
    return [_field(column, schema, given, said.get(column.name, "")) for column in schema.inputs]


def _field(column: Column, schema: Schema, given: Mapping[str, str] | None, error: str) -> Field:
    value = _shown(column.sample) if given is None else given.get(column.name, "")
    kind = _kind(column, schema)
    return Field(
        name=column.name,
        kind=kind,
        step="1" if column.type == "integer" else "any",
        value=value,
        choices=_choices(column),
        optional=column.nullable or column.optional,
        hint=_hint(column),
        error=error,
    )


def _kind(column: Column, schema: Schema) -> Kind:
    if column.closed and len(column.categories or ()) <= MOST_CHOICES:
        return "select"
    if column.type == "boolean":
        return "select"
    if column.categories is not UNSET:
        return "text"
    if column.type in ("number", "integer"):
        return "number"
    return "long" if column.type == "string" or schema.text else "text"


def _choices(column: Column) -> tuple[str, ...]:
    if column.categories is not UNSET:
        return tuple(_shown(value) for value in column.categories[:MOST_CHOICES])
    return ("true", "false") if column.type == "boolean" else ()


def _hint(column: Column) -> str:
    if column.optional:
        return "not used by the model"
    about = "a date or a time, such as 2024-01-31T12:00:00" if column.type == "datetime" else ""
    return ", ".join(part for part in (about, "may be empty" if column.nullable else "") if part)


def _shown(value: Scalar) -> str:
    return "" if value is None else text_of(value)
