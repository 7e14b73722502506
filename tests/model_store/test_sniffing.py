"""Formats are told by their bytes and never by a name."""

from pathlib import Path
from typing import Any

import models
import pytest
from corpus import OTHERS, PICKLES, UNREADABLE

from model_store.errors import Unreadable, UnsupportedFormat
from model_store.formats.sniffing import sniff

pytestmark = pytest.mark.extras


@pytest.fixture
def written(folder: Path) -> Any:
    def write(data: bytes) -> Path:
        path = folder / "upload"
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("kind", PICKLES)
def test_what_holds_a_pickle_is_refused_with_the_way_to_convert_it(kind: str, written: Any) -> None:
    with pytest.raises(UnsupportedFormat, match=r"wsgi-service convert model\.pkl model\.skops"):
        sniff(written(PICKLES[kind]))


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_refused_by_their_name(kind: str, written: Any) -> None:
    with pytest.raises(UnsupportedFormat, match=r"\.skops|scikit-learn"):
        sniff(written(OTHERS[kind]))


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_format_at_all_is_unreadable(kind: str, written: Any) -> None:
    with pytest.raises(Unreadable):
        sniff(written(UNREADABLE[kind]))


def test_a_model_is_known_whatever_it_is_called(written: Any) -> None:
    assert sniff(written(models.skops_bytes(models.line()))) == "skops"
