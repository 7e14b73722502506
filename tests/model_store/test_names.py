"""The rules for names and version numbers, and that they hold for anything at all."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.entities import MAX_VERSION, check_name, check_version
from model_store.errors import InvalidName, InvalidVersion

pytestmark = pytest.mark.system

BAD_NAMES = [
    "", ".", "..", "a/b", "a\\b", "x.", "x ", "-x", "_x", "a:b", "a::$DATA", "CON", "COM¹", "LPT9", "Model",
    "modèle", "😀", "\uff41", "a\u202eb", "a\x00b", "a\r\nb", "a\n", "x" * 65, "x" * 10_000,
]  # fmt: skip
GOOD_NAMES = ["a", "0", "iris", "nul.skops", "aux.txt", "com1", "a..b", "x" * 64, "a-b_c.d"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(InvalidName) as caught:
        check_name(name)
    assert len(name) < 3 or name not in str(caught.value)


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_good_name_is_taken(name: str) -> None:
    assert check_name(name) == name


@given(st.text(max_size=70))
def test_a_name_that_is_taken_is_harmless_everywhere(name: str) -> None:
    try:
        check_name(name)
    except InvalidName:
        return
    assert re.fullmatch(r"[a-z0-9._-]{1,64}", name)
    assert name[0] not in "._-"
    assert name[-1] not in "._-"


@pytest.mark.parametrize("number", [0, -1, MAX_VERSION + 1])
def test_a_version_is_between_1_and_its_maximum(number: int) -> None:
    with pytest.raises(InvalidVersion):
        check_version(number)
    assert check_version(MAX_VERSION) == MAX_VERSION
