"""What was used last stays, within the memory that is allowed."""

import os
import sys

import pytest

from usidx.io.read.place.objects.lru import LruCache


def test_the_least_recently_used_goes_first() -> None:
    cache: LruCache[str, bytes] = LruCache(9, len)
    for key in "abc":
        cache.put(key, b"123")
    assert cache.get("a") == b"123"
    cache.put("d", b"4567")
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "d"]
    assert cache.nbytes == 7


def test_a_value_takes_the_place_of_another() -> None:
    cache: LruCache[str, bytes] = LruCache(9, len)
    cache.put("a", b"12345")
    cache.put("a", b"678")
    assert (cache.get("a"), cache.nbytes, len(cache)) == (b"678", 3, 1)


def test_one_value_alone_may_be_larger() -> None:
    cache: LruCache[str, bytes] = LruCache(2, len)
    cache.put("a", b"1")
    cache.put("b", b"12345")
    assert (cache.get("a"), cache.get("b"), cache.nbytes) == (None, b"12345", 5)


def test_what_is_outdated_is_dropped() -> None:
    cache: LruCache[int, bytes] = LruCache(100, len)
    for key in range(4):
        cache.put(key, b"1" * key)
    cache.drop(lambda key, value: key % 2 == 1 and len(value) > 1)
    assert [cache.get(key) for key in range(4)] == [b"", b"1", b"11", None]
    assert cache.nbytes == 3


@pytest.mark.skipif(not hasattr(os, "fork") or sys.version_info >= (3, 12), reason="forks; Python 3.12 warns of them")
def test_a_lock_held_in_a_fork_is_not_inherited() -> None:
    cache: LruCache[str, bytes] = LruCache(100, len)
    cache.put("a", b"1")
    with cache._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if cache.get("a") == b"1" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
