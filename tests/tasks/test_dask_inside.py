"""What usidx.tasks uses of dask and of Python that is not public: still there, and still doing the same."""

import inspect
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, thread
from functools import cached_property
from typing import Any

import dask
import dask.array as da
import dask.tokenize
import numpy as np
import pytest
from dask import _task_spec, base, core, highlevelgraph, local, optimization, threaded

DASK = f"dask {dask.__version__} changed a part that is not public; see what usidx/tasks/"


@pytest.mark.parametrize(
    ("found", "parameters", "used_by"),
    [
        (_task_spec.Task, ["key", "func", "args", "kwargs"], "graph.py, passes.py, merge.py and blocks.py"),
        (_task_spec.TaskRef, ["key"], "graph.py, passes.py, merge.py and blocks.py"),
        (_task_spec.DataNode, ["key", "value"], "graph.py and blocks.py"),
        (_task_spec.Task.substitute, ["self", "subs", "key"], "graph.py and merge.py"),
        (_task_spec.convert_legacy_graph, ["dsk"], "graph.py"),
        (_task_spec.cull, ["dsk", "keys"], "blocks.py"),
        (_task_spec.fuse_linear_task_spec, ["dsk", "keys"], "blocks.py"),
        (highlevelgraph.HighLevelGraph, ["layers", "dependencies"], "merge.py"),
        (highlevelgraph.HighLevelGraph.from_collections, ["name", "layer", "dependencies"], "graph.py and passes.py"),
        (highlevelgraph.MaterializedLayer, ["mapping"], "merge.py"),
        (optimization.cull, ["dsk", "keys"], "graph.py"),
        (core.flatten, ["seq"], "graph.py"),
        (base.get_scheduler, [], "threads.py"),
        (local.get_sync, ["dsk", "keys"], "threads.py and blocks.py"),
        (local.batch_execute_tasks, ["it"], "threads.py"),
        (threaded.get, ["dsk", "keys", "pool"], "blocks.py"),
    ],
)
def test_parameters(found: Any, parameters: list[str], used_by: str) -> None:
    known = [name for name in inspect.signature(found).parameters if name in parameters]
    assert known == parameters, f"{DASK}{used_by} hands to {found.__qualname__}{inspect.signature(found)}."


def test_tasks_are_called_renamed_and_refer_to_each_other() -> None:
    task = _task_spec.Task("sum", np.add, _task_spec.TaskRef("a"), 2)
    why = f"{DASK}graph.py and merge.py do with tasks."
    assert task.dependencies == {"a"}, why
    assert task.func is np.add, why
    assert isinstance(task.args[0], _task_spec.TaskRef | _task_spec.Alias), why  # Alias in dask of early 2025
    assert (task.args[0].key, task.args[1]) == ("a", 2), why
    copy = task.substitute({"a": ("b", 0)}, key="other")
    assert (copy.key, copy.dependencies, copy({("b", 0): 3})) == ("other", {("b", 0)}, 5), why
    assert _task_spec.DataNode("a", 7)() == 7, why


def test_legacy_graphs_become_tasks() -> None:
    found = _task_spec.convert_legacy_graph({"a": 1, "b": (np.negative, "a")})
    why = f"{DASK}graph.py does with graphs of tuples."
    assert isinstance(found["a"], _task_spec.DataNode), why
    assert found["b"].dependencies == {"a"}, why


def test_chains_are_fused_and_keep_the_keys_that_are_asked_for() -> None:
    graph: dict[Any, Any] = {"read": _task_spec.Task("read", np.ones, 3)}
    graph["sum"] = _task_spec.Task("sum", np.sum, _task_spec.TaskRef("read"))
    graph["end"] = _task_spec.Task("end", np.negative, _task_spec.TaskRef("sum"))
    fused = _task_spec.fuse_linear_task_spec(graph, {"sum", "end"})
    assert "read" not in fused, f"{DASK}blocks.py expects: a block that is read is gone when its answer is there."
    assert local.get_sync(fused, ["sum", "end"]) == (3.0, -3.0)


def test_arrays_tell_their_graph() -> None:
    array = da.ones(4, chunks=2) + 1
    why = f"{DASK}graph.py, merge.py and compute.py ask of an array."
    assert type(array._meta) is np.ndarray, why
    graph = array.__dask_graph__()
    assert array.name in graph.layers, why
    assert set(graph.dependencies) == set(graph.layers), why
    optimised = array.__dask_optimize__(graph, [(array.name, 0)])
    assert (array.name, 0) in dict(optimised), why
    assert (array.name, 1) not in dict(optimised), why


def test_threads_and_locks_are_where_a_fork_looks_for_them() -> None:
    dask.compute(dask.delayed(int)(), scheduler="threads")
    why = f"{DASK}process/fork.py gives back after a fork."
    lock, reentrant = type(threading.Lock()), type(threading.RLock())
    assert isinstance(threaded.default_pool, ThreadPoolExecutor | None), why
    assert all(isinstance(pools, dict) for pools in threaded.pools.values()), why
    assert isinstance(threaded.main_thread, threading.Thread), why
    assert isinstance(threaded.pools_lock, lock), why
    assert isinstance(dask.config.config_lock, lock), why
    assert isinstance(dask.tokenize.tokenize_lock, reentrant), why


def test_compilers_are_where_a_fork_looks_for_them() -> None:
    compiler, llvm = pytest.importorskip("numba.core.compiler_lock"), pytest.importorskip("llvmlite.binding.ffi")
    for found in (compiler.global_compiler_lock._lock, llvm.lib._lock._lock):
        assert isinstance(found, type(threading.RLock())), "see which locks process/fork.py holds over a fork."


def test_schedulers_are_known_by_name() -> None:
    assert base.named_schedulers["sync"] is local.get_sync, f"{DASK}threads.py reads of the configuration."
    with dask.config.set(scheduler="threads"):
        assert base.get_scheduler() is threaded.get, f"{DASK}threads.py reads of the configuration."


def test_a_thread_finds_its_pool_on_its_stack() -> None:
    why = "Python changed what usidx/tasks/threads.py reads of the stack of a ThreadPoolExecutor's thread."
    assert "executor_reference" in inspect.signature(thread._worker).parameters, why
    with ThreadPoolExecutor(1, thread_name_prefix="inside") as pool:
        assert pool.submit(lambda: threading.current_thread().name).result() == "inside_0", why
        assert (pool._max_workers, pool._thread_name_prefix) == (1, "inside"), why


def test_the_lock_of_cached_properties_has_its_name() -> None:
    assert hasattr(cached_property(len), "lock") == (sys.version_info < (3, 12)), "see usidx/tasks/process/fork.py"
