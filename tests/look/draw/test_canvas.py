"""Figures belong to the caller, labels fit beside their panels, and names are no formulas."""

import sys

import pytest

from usidx.look.draw.canvas import (
    choose_grid_shape,
    escape_text,
    finish_figure,
    keep_layout,
    label_axes,
    make_figure,
    render_png,
    render_svg,
    set_whole_ticks,
    wrap_words,
)


def test_figures_are_not_known_to_pyplot() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    figure = make_figure(3, 2)
    assert figure.get_size_inches().tolist() == [3, 2]
    assert pyplot.get_fignums() == before


def test_a_picture_has_the_size_that_is_asked_for() -> None:
    png = render_png(make_figure(3, 2), dpi=50)
    assert png.startswith(b"\x89PNG")
    # Width and height stand in the head of the file.
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (150, 100)


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_lacks_are_no_warning() -> None:
    figure = make_figure(3, 2)
    figure.subplots()
    assert render_png(finish_figure(figure, "原子")).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "room", "expected"),
    [
        ("Bias (V)", 30, "Bias (V)"),
        ("Cantilever deflection (V)", 20, "Cantilever\ndeflection (V)"),
        ("Cycle 1, DC offset -3 V", 16, "Cycle 1,\nDC offset -3 V"),
        ("Amplitude" * 3, 9, "Amplitude\nAmplitude\nAmplitude"),
    ],
)
def test_labels_break_after_a_comma_and_never_before_a_unit(words: str, room: int, expected: str) -> None:
    assert wrap_words(words, room) == expected


def test_names_are_drawn_as_they_are() -> None:
    figure = make_figure(3, 2)
    axes = figure.subplots()
    label_axes(axes, "$x_1$", "cost ($)")
    assert (axes.get_xlabel(), axes.get_ylabel()) == (r"\$x_1\$", r"cost (\$)")
    assert escape_text("plain") == "plain"


def test_counts_have_whole_ticks() -> None:
    axes = make_figure(3, 2).subplots()
    axes.set_xlim(0, 3)
    set_whole_ticks(axes.xaxis)
    assert all(tick == round(tick) for tick in axes.get_xticks())


@pytest.mark.parametrize(
    ("count", "aspect", "expected"),
    [(1, 1.0, (1, 1)), (2, 1.0, (1, 2)), (3, 1.0, (1, 3)), (4, 1.0, (2, 2)), (9, 1.0, (3, 3)), (10, 1.0, (3, 4)),
     (5, 0.2, (3, 2)), (1, 0.2, (1, 1))],
)  # fmt: skip
def test_panels_fill_a_page(count: int, aspect: float, expected: tuple[int, int]) -> None:
    assert choose_grid_shape(count, aspect) == expected


def test_what_is_said_twice_is_written_once() -> None:
    figure = make_figure(3, 2)
    figure.subplots()
    assert finish_figure(figure, "Title", "cut", "", "cut", "thinned") is figure
    assert figure.get_suptitle() == "Title"
    assert figure.get_supxlabel() == "cut; thinned"


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from usidx.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"Drawing needs the package 'matplotlib'"):
        make_figure(3, 2)


def test_a_finished_figure_can_be_drawn_as_it_is_laid_out() -> None:
    figure = make_figure(3, 2)
    axes = figure.subplots()
    finish_figure(figure, "Title")
    engine, place = figure.get_layout_engine(), axes.get_position().bounds
    with keep_layout(figure):
        axes.set_ylabel("two\nlines")
        assert render_svg(figure).startswith(b"<?xml")
    assert axes.get_position().bounds == place
    assert figure.get_layout_engine() is engine
    render_png(figure)
    assert axes.get_position().bounds != place


def test_vectors_are_the_same_each_time_and_their_letters_stay_letters() -> None:
    figure = make_figure(3, 2)
    label_axes(figure.subplots(), "Bias (V)", "Current (nA)")
    assert render_svg(figure) == render_svg(figure)
    assert b">Bias (V)</text>" in render_svg(figure)
