"""The names are those of the specification, letter by letter."""

from usidx.format import names


def test_the_four_references() -> None:
    assert names.ANCILLARIES == (
        "Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values",
    )  # fmt: skip


def test_both_spellings_of_the_time_are_book_keeping() -> None:
    assert {"timestamp", "time_stamp"} <= names.BOOK_KEEPING


def test_kinds_of_dimensions() -> None:
    assert (names.DEFAULT_DIMENSION, names.INCOMPLETE_DIMENSION, names.DEPENDENT_DIMENSION) == (0, 1, 2)
