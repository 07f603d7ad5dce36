"""The gate that blocks go through: who shuts it waits for other threads, and for nothing that Ctrl-C broke off."""

import threading

import pytest

from usidx.io.write.blocks.gate import Gate


def test_it_is_shut_until_it_is_opened_and_again_after_that() -> None:
    gate = Gate()
    for _ in range(2):
        with pytest.raises(InterruptedError, match="after writing had ended"):
            gate.__enter__()
        gate.open()
        with gate:
            pass
        gate.shut()


def test_shutting_waits_for_the_threads_inside() -> None:
    gate = Gate()
    gate.open()
    inside, go = threading.Event(), threading.Event()

    def block() -> None:
        with gate:
            inside.set()
            go.wait(20)
            with pytest.raises(InterruptedError):
                gate.check()

    thread = threading.Thread(target=block)
    thread.start()
    assert inside.wait(20)
    shutting = threading.Thread(target=gate.shut)
    shutting.start()
    shutting.join(0.1)
    assert shutting.is_alive()
    go.set()
    shutting.join(20)
    thread.join(20)
    assert not shutting.is_alive()


def test_a_thread_that_was_broken_off_inside_may_shut_it() -> None:
    gate = Gate()
    gate.open()
    gate.__enter__()  # as if Ctrl-C had come before the block began
    gate.shut()
