"""What a predict says beside its rows: who answers, and with which methods."""

import re
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from model_store.entities import MAX_VERSION, check_name
from model_store.methods import METHODS, usual_method
from wsgi_service.errors import InvalidRequest, UnsupportedMethod

RETURN, EXACT = "return", "exact"
#: What a request under a model's own address may say; a request to /predict also says who answers.
HOW = ("method", RETURN, EXACT)
WHO_AND_HOW = ("model", "version", "alias", *HOW)
#: What a flag may be in a query string.
FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}
DIGITS = re.compile("[0-9]{1,12}")


class Control(Struct):
    """The control keys of a predict.

    Attributes:
        method: the one that is called; the usual one if none is named.
        several: those that are called instead, each with its own outputs in the answer.
        exact: whether the estimator itself answers, for these rows alone.
    """

    model: str | None = None
    version: int | None = None
    alias: str | None = None
    method: str | None = None
    several: list[str] | None = msgspec.field(name=RETURN, default=None)
    exact: bool = False

    def methods_of(self, available: Sequence[str]) -> list[str]:
        """The methods to call of those that a version has. Raises UnsupportedMethod."""
        methods = self.several or [usual_method(available) if self.method is None else self.method]
        if not set(methods) <= set(available):
            raise UnsupportedMethod(f"This version has no such method. It has: {', '.join(available)}.")
        return methods


def take(fields: dict[str, str], keys: Collection[str], of_a_record: bool = False) -> dict[str, Any]:
    """The control keys among texts of a form or a query string, taken out of them.

    Args:
        fields: the texts by name.
        keys: that are control keys.
        of_a_record: whether the other texts are columns. There `return` may be one of them, and is a control key
            only where it names methods; `exact` always is one of them.
    """
    taken = {key: fields[key] for key in keys if key in fields}
    if of_a_record:
        taken.pop(EXACT, None)
        if not _names_methods(taken.get(RETURN, "")):
            taken.pop(RETURN, None)
    for key in taken:
        del fields[key]
    return typed(taken)


def typed(texts: dict[str, str]) -> dict[str, Any]:
    """Control keys that came as text: a version is a number, methods have commas between them."""
    control: dict[str, Any] = dict(texts)
    if DIGITS.fullmatch(texts.get("version", "")):
        control["version"] = int(texts["version"])
    if RETURN in texts:
        control[RETURN] = _parts(texts[RETURN])
    if EXACT in texts:
        control[EXACT] = FLAGS.get(texts[EXACT].lower(), texts[EXACT])
    return control


def read_control(given: dict[str, Any]) -> Control:
    """The control keys, checked. Raises InvalidRequest or InvalidName."""
    try:
        control = msgspec.convert(given, Control)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"model, version, alias, method, return or exact cannot be read: {error}.") from None
    _check_who(control)
    _check_methods(control)
    return control


def _check_who(control: Control) -> None:
    if control.version is not None and control.alias is not None:
        raise InvalidRequest("Name a version or an alias, not both.")
    if control.version is not None and not 1 <= control.version <= MAX_VERSION:
        raise InvalidRequest(f"version must be a whole number from 1 to {MAX_VERSION}.")
    for name, kind in ((control.model, "model"), (control.alias, "alias")):
        if name is not None:
            check_name(name, kind)


def _check_methods(control: Control) -> None:
    if control.several is None:
        return
    if control.method is not None:
        raise InvalidRequest("Name a method, or several under return, not both.")
    if not control.several or len(set(control.several)) < len(control.several):
        raise InvalidRequest("return must be a list of methods, each of them once.")


def _names_methods(text: str) -> bool:
    return set(_parts(text)) <= set(METHODS)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
