"""Which part of a representation a request asks for (RFC 9110, sections 13.1.5 and 14)."""

import re

from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wrappers import Request

RANGE = re.compile(r"([0-9]*)-([0-9]*)")
#: Digits of a number that is beyond every length.
MOST_DIGITS = 19


def settle(request: Request, tag: str, length: int) -> None:
    """Leave in a request the one range that it is answered with, and take away one that is ignored.

    Ignored are ranges of HEAD, of other units than bytes, several ones, what is none, and one that is for another
    state than `If-Range` names: a strong entity tag, since there is no date of the last change.

    Args:
        request: that asks.
        tag: the strong entity tag of the representation, without quotes.
        length: of the representation in bytes.

    Raises:
        RequestedRangeNotSatisfiable: none of the bytes is in the range.
    """
    asked = request.environ.pop("HTTP_RANGE", None)
    condition = request.environ.pop("HTTP_IF_RANGE", None)
    if asked is None or request.method != "GET":
        return
    if (condition is None or condition.strip() == f'"{tag}"') and not request.if_none_match.contains_weak(tag):
        bounds = _bounds(asked, length)
        if bounds is not None:
            request.environ["HTTP_RANGE"] = "bytes={}-{}".format(*bounds)


def _bounds(asked: str, length: int) -> tuple[int, int] | None:
    """The first and the last byte, None if the field is to be ignored. Raises RequestedRangeNotSatisfiable."""
    unit, _, listed = asked.partition("=")
    parts = [part for part in map(str.strip, listed.split(",")) if part]
    match = RANGE.fullmatch(parts[0]) if unit.strip().lower() == "bytes" and len(parts) == 1 else None
    if match is None or parts == ["-"]:
        return None
    if not match[1]:
        first, last = max(0, length - _number(match[2])), length - 1
    else:
        first, last = _number(match[1]), _number(match[2]) if match[2] else length
        if last < first and match[2]:
            return None
    if first >= length:
        raise RequestedRangeNotSatisfiable(length)
    return first, min(last, length - 1)


def _number(digits: str) -> int:
    return int(digits.lstrip("0")[:MOST_DIGITS] or "0")
