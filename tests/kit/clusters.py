"""Small clusters on this machine, for tests: import it after `pytest.importorskip("distributed")`."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["QUIET", "start_cluster"]

#: Marks for what distributed and tornado raise when a cluster goes down.
QUIET = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@contextmanager
def start_cluster(workers: int = 2, threads: int = 1, *, processes: bool = True, **options: Any) -> Iterator[Any]:
    """Start workers, as processes or as threads of this one, and yield a client, which computes from now on."""
    from distributed import Client

    with (
        warnings.catch_warnings(),
        Client(
            n_workers=workers, threads_per_worker=threads, processes=processes, dashboard_address=":0", **options
        ) as client,
    ):
        yield client
