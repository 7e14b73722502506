"""What is said with an upload, and what becomes of it before a version is made."""

import hashlib
from collections.abc import Callable

import msgspec
from msgspec import UNSET, Struct

from model_store.artifacts.local import Staged
from model_store.entities import Facts, Inspection, UploadKey, Version
from model_store.proof.examples import Examples, Mismatch, check_examples, completed, mismatches, wanted
from model_store.proof.rehearsal import Answers


class Publication(Struct, frozen=True, kw_only=True):
    """What may come with an upload.

    Attributes:
        number: the exact version to create; without it the server numbers.
        class_names: names for people, in the order of the estimator's classes.
        column_names: names of the columns, for an estimator that was fitted without any.
        examples: rows that the version must answer, and what it must answer.
        key: what the upload is known by if it is sent again without a number.
    """

    number: int | None = None
    class_names: tuple[str, ...] | None = None
    column_names: tuple[str, ...] | None = None
    examples: "GivenExamples | None" = None
    key: str | None = None


class GivenExamples(Struct, frozen=True):
    """Examples that came with an upload, and can be read only when the version's columns are known.

    Attributes:
        digest: of the bytes in which they came.
        read: makes examples of them; it may raise whatever is wrong with them.
    """

    digest: str
    read: Callable[[Facts, tuple[str, ...] | None], Examples]


def tried(
    given: Examples, described: Facts | Version, answer: Callable[[list[str]], Answers]
) -> tuple[Examples, list[Mismatch]]:
    """Examples with all outputs, and those that are answered otherwise than was given."""
    check_examples(given, described.methods)
    answers = answer(sorted({*wanted(described.methods), *given.outputs}))
    wrong = list(mismatches(given, answers, described.schema.classes is not UNSET))
    return completed(given, answers), wrong


def with_examples(
    facts: Facts, examples: Examples | None, notes: tuple[str, ...], faults: tuple[str, ...]
) -> Facts:
    """Facts whose columns have the first example as sample, with what was found out."""
    schema = facts.schema if examples is None else facts.schema.with_samples(examples.rows[0])
    return msgspec.structs.replace(facts, schema=schema, warnings=(*facts.warnings, *notes), faults=faults)


def silence(found: Inspection) -> tuple[str, ...]:
    """What is said of a version that does not answer its own sample."""
    if not found.silent:
        return ()
    return (
        f"{found.silent} on a sample row made up from the schema, so no alias came to this version by itself. "
        "Give it examples, or point an alias to it.",
    )


def mistakes(examples: Examples, wrong: list[Mismatch]) -> tuple[str, ...]:
    """What is said of a version that answers examples otherwise than was given."""
    if not wrong:
        return ()
    rows = len({mismatch.row for mismatch in wrong})
    return (
        f"At the upload {rows} of {len(examples.rows)} examples were answered otherwise than was given, "
        "so no alias came to this version by itself.",
    )


def upload_key(model: str, staged: Staged, options: Publication) -> UploadKey | None:
    """The key of an upload with a hash of everything that was sent under it."""
    if options.key is None:
        return None
    examples = options.examples.digest if options.examples else None
    sent = (model, staged.digest, options.number, options.class_names, options.column_names, examples)
    fingerprint = hashlib.sha256(msgspec.json.encode(sent)).hexdigest()
    return UploadKey(f"{model} {options.key}", f"sha256:{fingerprint}")
