"""Vectorizers: what they read, and how long they take over it."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from model_store.formats.rules import Found
from model_store.formats.skops.values.walk import Place

MAX_PATTERN = 200
MAX_STOP_WORDS = 100_000
MAX_NGRAM = 32
MAX_HASHES = 2**24
#: Unbounded repetitions in one pattern; each can multiply the time by the length of the text.
MAX_REPEATS = 4
REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
BACKWARDS = ("GROUPREF", "GROUPREF_EXISTS")
PATTERN = "token_pattern can take exponential time. Use a plain one such as (?u)\\b\\w\\w+\\b"


def texts_are_given_and_not_read_from_files(place: Place) -> Iterator[Found]:
    """A vectorizer with input='filename' reads any file that a request names."""
    if place.value.input != "content":
        yield Found(place.where, "input is not 'content': the vectorizer would read files that a request names.")


def patterns_are_bounded(place: Place) -> Iterator[Found]:
    """A regular expression can take exponential time, and nobody can interrupt it."""
    pattern = getattr(place.value, "token_pattern", None)
    if pattern is None:
        return
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN or not _is_bounded(pattern):
        yield Found(place.where, PATTERN)


def stop_words_are_a_list(place: Place) -> Iterator[Found]:
    """Each word of each text is looked up in them."""
    words = place.value.stop_words
    if words is None or words == "english":
        return
    if not isinstance(words, list | set | frozenset | tuple) or len(words) > MAX_STOP_WORDS:
        yield Found(place.where, f"stop_words is not a list of at most {MAX_STOP_WORDS} words.")


def ngrams_are_short(place: Place) -> Iterator[Found]:
    """All runs of words up to the longest are made for each text."""
    range_ = place.value.ngram_range
    whole = isinstance(range_, tuple | list) and len(range_) == 2 and all(type(n) is int for n in range_)  # noqa: PLR2004
    if not whole or not 1 <= range_[0] <= range_[1] <= MAX_NGRAM:
        yield Found(place.where, f"ngram_range is not two numbers from 1 to {MAX_NGRAM}.")


def vocabularies_count_from_zero(place: Place) -> Iterator[Found]:
    """Words become column numbers of a sparse matrix that is as wide as the vocabulary is long."""
    vocabulary = getattr(place.value, "vocabulary_", None)
    if vocabulary is None:
        return
    if not isinstance(vocabulary, dict) or not _counts(list(vocabulary.values())):
        yield Found(place.where, "vocabulary_ does not number its words from 0, each once.")


def hashes_stay_within_their_table(place: Place) -> Iterator[Found]:
    """The number of hashes is the width of everything that follows."""
    number = getattr(place.value, "n_features", 1)
    if not isinstance(number, int | np.integer) or not 1 <= number <= MAX_HASHES:
        yield Found(place.where, f"n_features is not a number from 1 to {MAX_HASHES}.")


def _counts(numbers: list[Any]) -> bool:
    if not all(isinstance(number, int | np.integer) for number in numbers):
        return False
    return bool((np.sort(np.array(numbers, dtype=np.int64)) == np.arange(len(numbers))).all())


def _is_bounded(pattern: str) -> bool:
    """Whether each repetition is of something that can match in one way only, and there are few of them."""
    try:
        parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError):
        return False
    operations = list(_operations(parsed, repeated=False))
    repeats = sum(name in REPEATS and most > 1 for name, _, most, _ in operations)
    return repeats <= MAX_REPEATS and not any(_is_ambiguous(*operation) for operation in operations)


def _is_ambiguous(name: str, least: int, most: int, repeated: bool) -> bool:
    return name in BACKWARDS or (repeated and (name == "BRANCH" or (name in REPEATS and least != most)))


def _operations(parsed: Any, repeated: bool) -> Iterator[tuple[str, int, int, bool]]:
    """Each operation of a pattern: its name, how often at least and at most, and whether it is repeated."""
    for operation, argument in parsed:
        name = str(operation)
        least, most = argument[:2] if name in REPEATS else (1, 1)
        yield name, int(least), int(most), repeated
        for inner in _inner(argument):
            yield from _operations(inner, repeated or most > 1)


def _inner(argument: Any) -> Iterator[Any]:
    """The patterns inside an operation's argument."""
    if isinstance(argument, re._parser.SubPattern):  # type: ignore[attr-defined]
        yield argument
    elif isinstance(argument, list | tuple):
        for part in argument:
            yield from _inner(part)
