"""Words for others are bounded, and can be sent."""

import pytest

from zioflow._cut import cut


@pytest.mark.parametrize(
    "words, limit, cut_to",
    [
        ("", 3, ""),
        ("abc", 3, "abc"),
        ("abcd", 3, "…"),
        ("abcde", 4, "a…"),
        ("äöüä", 8, "äöüä"),
        ("äöüä", 7, "äö…"),
        ("äöüä", 6, "ä…"),  # half an ö would fit
        ("😀😀", 7, "😀…"),
        ("a\ud800b", 3, "a?b"),
        ("\ud800" * 9, 5, "??…"),
    ],
)
def test_words_are_cut(words, limit, cut_to):
    assert cut(words, limit) == cut_to


def test_the_limit_is_in_bytes():
    for character in ("x", "ä", "…", "😀", "\ud800"):
        for count in range(1020, 1030):
            encoded = cut(character * count).encode()
            assert len(encoded) <= 1024
