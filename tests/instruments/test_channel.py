"""Channels become leaves; what does not fit together is refused."""

import numpy as np
import pytest
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Axis, Channel, build_tree

ROWS = Axis("Y", np.array([0.0, 1.0]), "µm", "position")
BIAS = Axis("Bias", np.array([-1.0, 0.0, 1.0]), "V", "spectroscopic", "Sample bias")


def test_a_channel_is_a_leaf_with_roles_units_and_quantities() -> None:
    angle = xr.Variable((), 45.0, {"units": "°"})
    channel = Channel("Current/forward", np.ones((2, 3)), (ROWS, BIAS), "Current", "nA", {"angle": angle}, {"gain": 3})
    tree = build_tree([channel], {"operator": "me"})
    found = tree["Current/forward"]["forward"]
    assert tree.attrs == {"operator": "me"}
    assert found.dims == ("Y", "Bias")
    assert found.attrs == {"gain": 3, "long_name": "Current", "units": "nA"}
    assert found.Y.attrs == {"long_name": "Y", "units": "um", "units_in_file": "µm", "usid_role": "position"}
    assert found.Bias.attrs == {"long_name": "Sample bias", "units": "V", "usid_role": "spectroscopic"}
    assert found.angle.attrs == {"units": "deg", "units_in_file": "°"}


def test_names_never_meet() -> None:
    names = ["Z", "Z", "Z/forward", "Y", "..", ""]
    tree = build_tree([Channel(name, np.ones(2), (ROWS,)) for name in names])
    paths = [leaf.path for leaf in tree.leaves]
    assert paths == ["/Z", "/Z_2", "/Z forward", "/Y", "/channel..", "/channel"]
    assert list(tree["Y"].data_vars) == ["Y_"]


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        (Channel("Z", np.ones((3, 2)), (ROWS, BIAS)), r"'Z' has the shape \(3, 2\), and axes of \(2, 3\) entries"),
        (Channel("Z", np.ones((2, 2)), (ROWS, ROWS)), "one of them twice"),
        (Channel("Z", np.array(["a", "b"]), (ROWS,)), "no number"),
        (Channel("Z", np.ones(0), (Axis("X", np.ones(0), "m", "position"),)), "is empty"),
        (Channel("Z", np.ones(2), (ROWS,), coords={"a": xr.Variable("Y", [1, 2, 3])}), "does not fit together"),
        (Channel("Z", np.ones(2), (ROWS,), coords={"Y": xr.Variable("Y", [1, 2])}), "named as its dim 'Y'"),
    ],
)
def test_what_does_not_fit_is_refused(channel: Channel, said: str) -> None:
    with pytest.raises(TranslationError, match=said):
        build_tree([channel])


def test_nothing_is_refused() -> None:
    with pytest.raises(TranslationError, match="no data"):
        build_tree([])


def test_values_that_repeat_are_kept_without_an_index() -> None:
    back = Axis("Bias", np.array([0.0, 1.0, 0.0]), "V", "spectroscopic")
    found = build_tree([Channel("I", np.ones(3), (back,))])["I"]["I"]
    assert "Bias" not in found.xindexes
    np.testing.assert_array_equal(found.Bias, [0, 1, 0])
