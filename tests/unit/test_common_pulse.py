"""Signs of life: what is silent hangs, what waits does not."""

from __future__ import annotations

import threading

from tests.support.waiting import wait_until
from toros.common.pulse import Pulse, PulsingEvent, hanging


def test_what_has_not_begun_and_what_may_take_for_ever_do_not_hang() -> None:
    pulse = Pulse("lane", 0.0)
    assert hanging([pulse]) == []
    pulse.beat()
    wait_until(lambda: hanging([pulse]), "the pulse to be overdue")
    pulse.rest()
    assert hanging([pulse]) == []


def test_a_silent_thread_hangs_until_it_is_heard_again() -> None:
    pulse = Pulse("lane main", 0.0)
    pulse.beat()
    (said,) = wait_until(lambda: hanging([pulse]), "the pulse to be overdue")
    assert said.startswith("lane main (overdue by ")
    pulse.beat(idle_s=3600)
    assert hanging([pulse]) == []


def test_without_patience_a_thread_may_be_silent_for_ever() -> None:
    pulse = Pulse("the night", None)
    pulse.beat()
    assert pulse.late_s == 0


def test_a_wait_on_the_stop_event_is_no_hang_however_long() -> None:
    pulse = Pulse("loop", 0.0)
    stop = PulsingEvent(pulse)
    waiting = threading.Thread(target=stop.wait)
    waiting.start()
    wait_until(lambda: stop._cond._waiters, "the thread to wait")
    assert hanging([pulse]) == []
    stop.set()
    waiting.join()
    wait_until(lambda: hanging([pulse]), "the silence after the wait to be noticed")


def test_a_look_at_the_stop_event_is_a_sign_of_life() -> None:
    pulse = Pulse("loop", 3600.0)
    stop = PulsingEvent(pulse)
    assert pulse.late_s == 0
    assert not stop.is_set()
    assert not stop.wait(0.0)
    stop.set()
    assert stop.is_set()
    assert stop.wait()
    assert pulse.late_s == 0
