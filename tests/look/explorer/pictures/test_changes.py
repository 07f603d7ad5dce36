"""Changes of a page that are made together."""

from __future__ import annotations

from typing import Any

import pytest

from usidx.look.explorer.pictures.changes import find_models_once, hold_changes, put_data

models = pytest.importorskip("bokeh.models", reason="bokeh is not installed")
document = pytest.importorskip("bokeh.document", reason="bokeh is not installed")


def test_models_are_found_after_an_error_too() -> None:
    page, column = document.Document(), models.Column()
    page.add_root(column)
    with pytest.raises(ValueError, match="wrong"), hold_changes(page), find_models_once(page):
        raise ValueError("wrong")
    column.children = [models.Div(name="later")]
    assert page.get_model_by_name("later") is not None


def test_nothing_in_the_place_of_nothing_is_not_told() -> None:
    page, source, told = document.Document(), models.ColumnDataSource({"x": []}), list[Any]()
    page.add_root(source)
    page.on_change(told.append)
    put_data(source, {"x": []})
    assert told == []
    put_data(source, {"x": [1.0]})
    put_data(source, {"x": []})
    assert len(told) == 2
