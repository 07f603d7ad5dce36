"""Each column of the table of a fit has one meaning, and together they fill it."""

from __future__ import annotations

import numpy as np
import pytest

from usidx.fitting.kernels.columns import STATUS_MEANINGS, Columns, locate_covariance, locate_figure, locate_stderr


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("covariance", [False, True])
def test_the_columns_fill_the_table_without_overlap(n: int, covariance: bool) -> None:
    at = Columns(n)
    row = np.arange(at.count(covariance=covariance))
    singles: list[int] = [at.chi2, at.redchi, at.r2, at.nfev, at.status, at.samples, at.pattern]
    assert row[at.figures].tolist() == singles
    parts = [*(row[part].tolist() for part in (at.parameters, at.stderr)), singles, row[at.covariance].tolist()]
    assert [column for part in parts for column in part] == list(range(2 * n + 7 + covariance * n * n))
    assert [len(part) for part in parts] == [n, n, 7, covariance * n * n]


def test_kernels_and_numpy_find_the_same_columns() -> None:
    at = Columns(4)
    row = np.arange(at.count(covariance=True))
    assert [locate_stderr(4, k) for k in range(4)] == row[at.stderr].tolist()
    assert [locate_figure(4, k) for k in range(7)] == row[at.figures].tolist()
    square = [[locate_covariance(4, j, k) for k in range(4)] for j in range(4)]
    assert square == row[at.covariance].reshape(4, 4).tolist()


def test_codes_of_status_are_those_of_written_files() -> None:
    assert STATUS_MEANINGS == {
        1: "converged", 2: "converged_on_a_bound", 3: "exact", -1: "too_many_evaluations", -2: "too_few_samples",
        -3: "undetermined", -4: "not_finite", -5: "stuck", -6: "model_undefined_at_a_sample",
    }  # fmt: skip
