"""Names of old groups are told by the datasets that they hold."""

import pytest
import xarray as xr

from usidx.results import declarations
from usidx.results.legacy import find_names
from usidx.results.verbs import verb


@pytest.mark.parametrize(
    ("datasets", "dim", "variables"),
    [
        ({"U", "V", "S", "completed_positions"}, "component", {"scores", "components", "singular_values"}),
        ({"Labels", "Mean_Response"}, "cluster", {"labels", "mean_response"}),
        ({"Components", "Projection"}, "component", {"scores", "components"}),
        ({"Guess", "Fit"}, "", set()),
        ({"Guess"}, "", set()),
        ({"Results"}, "", set()),
        (set(), "", set()),
        ({"U", "V"}, "", set()),
    ],
)
def test_names_for(datasets: set[str], dim: str, variables: set[str]) -> None:
    found = find_names(frozenset(datasets))
    assert found.dim == dim
    assert variables <= set(found.variables.values())
    assert bool(found.variables) == bool(variables)
    assert bool(found.fields) == bool(datasets & {"Guess", "Fit"})


def test_scores_of_an_old_svd_lack_the_singular_values() -> None:
    assert find_names(frozenset({"U", "V", "S"})).times == {"scores": "singular_values"}


def test_a_tree_of_another_shape_is_told_by_more_than_one_of_its_datasets() -> None:
    whole = {"Resistance", "R_variance", "Capacitance", "Corrected_Current"}
    found = find_names(frozenset(whole))
    assert found.variables["Resistance"] == "resistance"
    assert found.fields == {"Forward": "capacitance_forward", "Reverse": "capacitance_reverse"}
    assert not find_names(frozenset({"Resistance"})).variables


def test_a_verb_that_counts_nothing_has_names_on_disk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declarations, "_declared", dict(declarations._declared))

    @verb(datasets={"height": "Step_Height"}, outputs=declarations.HANDED_ON)
    def measure_step(data: xr.DataArray) -> xr.Dataset:
        return data.to_dataset(name="height")

    found = find_names(frozenset({"Step_Height"}))
    assert (found.variables, found.dim, found.labels) == ({"Step_Height": "height"}, "", ())
