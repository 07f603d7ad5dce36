"""Where panels stand is tested in `tests/look/test_plot.py`; finding it takes most of the time of a figure."""

import pytest


@pytest.fixture(autouse=True)
def not_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.layout_engine.ConstrainedLayoutEngine.execute", lambda engine, figure: None)
