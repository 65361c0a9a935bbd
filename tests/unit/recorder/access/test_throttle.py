"""Guessing is slow; nobody can lock another one out."""

from datetime import UTC, datetime, timedelta

from recorder.access.throttle import IN_WINDOW, LONGEST, REMEMBERED, SHARED, WINDOW, Throttle

NOW = datetime(2027, 4, 1, tzinfo=UTC)
HOME, AWAY = "192.0.2.1", "198.51.100.9"


def tries(throttle: Throttle, seconds: float, address: str = HOME, account: str = "sato") -> int:
    """How many tries get through in so many seconds by whoever tries whenever it may."""
    now, count = NOW, 0
    while now < NOW + timedelta(seconds=seconds):
        if wait := throttle.wait(account, address, now):
            now += timedelta(seconds=wait + 0.001)
        else:
            throttle.tried(account, address, now)
            count += 1
            now += timedelta(milliseconds=10)
    return count


def test_three_are_free_and_then_each_costs_twice_as_much() -> None:
    throttle = Throttle()
    waited = []
    for _ in range(6):
        waited.append(throttle.wait("sato", HOME, NOW))
        throttle.tried("sato", HOME, NOW)
    assert waited == [0, 0, 0, 1, 2, 4]


def test_a_guesser_at_one_address_gets_some_twenty_tries_an_hour_and_a_hundred_a_day() -> None:
    assert tries(Throttle(), 3600) < 20
    assert tries(Throttle(), 24 * 3600) < 120


def test_a_stranger_who_never_stops_does_not_lock_out_who_was_in_before() -> None:
    throttle, now, waited = Throttle(), NOW, []
    throttle.tried("sato", HOME, now)
    throttle.passed("sato", HOME)
    for number in range(6000):
        now += timedelta(seconds=0.1)
        stranger = f"{AWAY}.{number % 60}"
        if throttle.wait("sato", stranger, now) == 0:
            throttle.tried("sato", stranger, now)
        if number % 100 == 0:
            waited.append(throttle.wait("sato", HOME, now))
    assert set(waited) == {0}


def test_from_a_new_place_somebody_waits_for_some_seconds_at_most_once_the_stranger_stops() -> None:
    throttle = Throttle()
    for number in range(500):
        throttle.tried("sato", f"{AWAY}.{number}", NOW)
    assert throttle.wait("sato", HOME, NOW) <= SHARED
    assert throttle.wait("sato", HOME, NOW + timedelta(seconds=SHARED)) == 0


def test_a_success_forgets_what_was_mistyped() -> None:
    throttle = Throttle()
    for _ in range(4):
        throttle.tried("sato", HOME, NOW)
    throttle.passed("sato", HOME)
    assert throttle.wait("sato", HOME, NOW) == 0


def test_an_address_that_tries_one_account_after_the_other() -> None:
    throttle = Throttle()
    done = 0
    while throttle.wait(f"user{done}", HOME, NOW) == 0:
        throttle.tried(f"user{done}", HOME, NOW)
        done += 1
    assert done == IN_WINDOW
    assert throttle.wait("sato", AWAY, NOW) == 0
    assert throttle.wait("sato", HOME, NOW + WINDOW) == 0


def test_a_whole_office_behind_one_address_signs_in() -> None:
    throttle = Throttle()
    for number in range(200):
        assert throttle.wait(f"user{number}", HOME, NOW) == 0
        throttle.tried(f"user{number}", HOME, NOW)
        throttle.passed(f"user{number}", HOME)


def test_a_clock_that_is_set_back_makes_nobody_wait_for_hours() -> None:
    throttle = Throttle()
    for _ in range(40):
        throttle.tried("sato", HOME, NOW)
    assert throttle.wait("sato", HOME, NOW - timedelta(days=1)) <= LONGEST


def test_memory_has_an_end() -> None:
    throttle = Throttle()
    for number in range(REMEMBERED + 50):
        throttle.tried(f"user{number}", f"address{number}", NOW)
    assert max(len(throttle._pairs), len(throttle._accounts), len(throttle._addresses)) == REMEMBERED
