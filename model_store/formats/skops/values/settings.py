"""Settings that make sense on a workstation and not in a server: threads, caches, output, pandas frames."""

from collections.abc import Callable, Iterator
from typing import Any

from model_store.formats.rules import Found
from model_store.formats.skops.values.walk import Place

#: Ways to say how many threads or processes to use.
THREADS = ("n_jobs", "_n_threads", "n_threads")


def no_attribute_hides_a_method(place: Place) -> Iterator[Found]:
    """An attribute with a method's name would be called in its place."""
    class_ = type(place.value)
    for name in vars(place.value):
        hidden = getattr(class_, name, None)
        if callable(hidden) or isinstance(hidden, property):
            yield Found(_attribute(place, name), "An attribute has the name of a method and would hide it.")


def one_thread_only(place: Place) -> Iterator[Found]:
    """A model that starts hundreds of threads or processes starves all others."""
    alone = 1 if hasattr(place.value, "_n_threads") or hasattr(place.value, "n_threads") else None
    for name in THREADS:
        yield from _set(place, name, alone if name != "n_jobs" else None, lambda value: value in (None, 1))


def nothing_is_cached_on_disk(place: Place) -> Iterator[Found]:
    """A cache would write to a folder that the file names."""
    yield from _set(place, "memory", None, lambda value: value is None)


def nothing_is_printed(place: Place) -> Iterator[Found]:
    """Progress on a terminal that is not there fills the log."""
    yield from _set(place, "verbose", False, lambda value: not value)


def outputs_are_arrays(place: Place) -> Iterator[Found]:
    """A transformer that was told to give pandas or polars frames gives another type than the answer is made of.

    Inside a pipeline frames may stay, since a later step may select its columns by their names.
    """
    config = vars(place.value).get("_sklearn_output_config")
    if not isinstance(config, dict) or set(config.values()) <= {None, "default"}:
        return
    if not place.where or "polars" in config.values():
        del vars(place.value)["_sklearn_output_config"]
        yield Found(_attribute(place, "set_output"), "Gives arrays, whatever set_output said.", "normalised")


def nothing_is_fitted_again(place: Place) -> Iterator[Found]:
    """A server only predicts."""
    yield from _set(place, "warm_start", False, lambda value: not value)


def _set(place: Place, name: str, harmless: Any, accepted: Callable[[Any], bool]) -> Iterator[Found]:
    """Give an attribute a harmless value, if it has another."""
    attributes = vars(place.value)
    if name in attributes and not _holds(accepted, attributes[name]):
        attributes[name] = harmless
        yield Found(_attribute(place, name), f"Is {harmless} here, whatever the file says.", "normalised")


def _holds(accepted: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, bool | int | str | type(None)) and accepted(value)


def _attribute(place: Place, name: str) -> str:
    return f"{place.where}.{name}".lstrip(".")
