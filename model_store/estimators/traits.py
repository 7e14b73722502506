"""What the parts of a fitted estimator say about the columns they take, and how that is combined."""

from dataclasses import dataclass, replace

from model_store.schema import ColumnType, Scalar

#: What stands in an example for a text.
SAMPLE_TEXT = "some text"


@dataclass(frozen=True)
class Trait:
    """What is known about one column.

    Attributes:
        type: `any` as long as nothing is known.
        nullable: whether a missing value is taken, as far as this part is concerned.
        fills: whether this part replaces missing values, so that later parts never see one.
        categories: the values seen when fitting, None where the part does not keep them.
        open: whether values outside the categories are taken.
        used: false where the part drops the column.
        through: whether the column goes on unchanged, so that the next part has its say about it.
        missing: what stands for a missing text, None or NaN; they are different categories.
        sample: a plausible value.
    """

    type: ColumnType = "any"
    nullable: bool = False
    fills: bool = False
    categories: tuple[Scalar, ...] | None = None
    open: bool = False
    used: bool = True
    through: bool = False
    missing: float | None = float("nan")
    sample: Scalar = None


NUMBER = Trait(type="number", through=True)


def followed_by(first: Trait, second: Trait) -> Trait:
    """A column that goes through one part and then through another."""
    if not first.through:
        return first
    return replace(
        first,
        type=second.type if first.type == "any" else first.type,
        nullable=first.nullable and (first.fills or second.nullable),
        fills=first.fills or second.fills,
        categories=second.categories if first.categories is None else first.categories,
        open=second.open if first.categories is None else first.open,
        through=second.through,
        missing=second.missing if first.categories is None and not first.fills else first.missing,
        sample=second.sample if first.sample is None else first.sample,
    )


def beside(first: Trait, second: Trait) -> Trait:
    """A column that is given to two parts, each of which must be content with it."""
    if not (first.used and second.used):
        return second if second.used else first
    known, other = (second, first) if first.categories is None else (first, second)
    categories, is_open = _agreed(known, other)
    return replace(
        known,
        categories=categories,
        open=is_open,
        type=other.type if known.type == "any" else known.type,
        nullable=first.nullable and second.nullable,
        fills=first.fills and second.fills,
        through=first.through or second.through,
        sample=other.sample if known.sample is None else known.sample,
    )


def _agreed(known: Trait, other: Trait) -> tuple[tuple[Scalar, ...] | None, bool]:
    """The categories that two parts take together, and whether they take others as well.

    Parts that were fitted on different rows, as in a bag, may have seen different categories.
    """
    if known.categories is None or other.categories is None:
        return known.categories, known.open
    if known.open and other.open:
        return tuple(dict.fromkeys(known.categories + other.categories)), True
    strict = [trait.categories for trait in (known, other) if not trait.open]
    return tuple(value for value in strict[0] or () if all(value in (taken or ()) for taken in strict)), False
