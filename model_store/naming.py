"""Names for classes and columns that come with an upload, and whether they fit the estimator."""

import msgspec
from msgspec import UNSET

from model_store.errors import InvalidMetadata
from model_store.schema import Schema


def check_class_names(schema: Schema, names: tuple[str, ...] | None) -> None:
    """Raises InvalidMetadata unless there is one name for each class."""
    if names is None:
        return
    if schema.classes is UNSET or isinstance(schema.classes[0], tuple):
        raise InvalidMetadata("This estimator has no single list of classes, so class_names cannot be given.")
    if len(names) != len(schema.classes):
        raise InvalidMetadata(
            f"class_names has {len(names)} names, but the estimator has {len(schema.classes)} classes: "
            f"{', '.join(str(label) for label in schema.classes[:20])}."
        )


def rename_columns(schema: Schema, names: tuple[str, ...] | None) -> Schema:
    """The schema with other column names; None gives x0, x1, … back.

    Raises:
        InvalidMetadata: the estimator knows its own names, or the number or uniqueness is wrong.
    """
    if schema.names_from == "estimator":
        raise InvalidMetadata("The estimator was fitted with column names, and those stay.")
    if names is None:
        chosen: tuple[str, ...] = ("text",) if schema.text else positional(len(schema.inputs))
    else:
        chosen = check_column_names(names, len(schema.inputs))
    inputs = tuple(
        msgspec.structs.replace(column, name=name) for column, name in zip(schema.inputs, chosen, strict=True)
    )
    origin = "position" if names is None else "upload"
    return msgspec.structs.replace(schema, inputs=inputs, names_from=origin)


def check_column_names(names: tuple[str, ...], width: int) -> tuple[str, ...]:
    """The names themselves. Raises InvalidMetadata unless there are `width` different ones."""
    if len(names) != width:
        raise InvalidMetadata(f"column_names has {len(names)} names, but the estimator takes {width} columns.")
    if len(set(names)) != len(names) or not all(names):
        raise InvalidMetadata("column_names must be different from each other and not empty.")
    return names


def positional(width: int) -> tuple[str, ...]:
    """The names of columns that nobody named: x0, x1 and so on."""
    return tuple(f"x{index}" for index in range(width))
