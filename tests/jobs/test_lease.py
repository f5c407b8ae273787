"""Of several workers one does a timed job; a worker that dies loses it."""

from datetime import timedelta

import pytest

from idp.foundation import clock as clocks
from idp.jobs import heart, lease

pytestmark = pytest.mark.usefixtures("clock")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def take(worker="one"):
    return lease.take("sweep", worker=worker, lease=MINUTE)


def test_a_job_nobody_has_done_is_due_and_then_taken(work):
    with work():
        assert take("one")
    with work():
        assert not take("two")
        assert not take("one")


def test_of_eight_workers_at_once_one_gets_the_job(at_once):
    outcomes = at_once(8, take)
    assert sorted(map(str, outcomes)) == ["False"] * 7 + ["True"]


def test_a_job_is_due_again_a_while_after_it_began(work):
    with work():
        take("one")
    clocks.move(timedelta(seconds=40))
    with work():
        lease.finish("sweep", worker="one", every=HOUR)
        assert not take("two")
    clocks.move(HOUR - timedelta(seconds=41))
    with work():
        assert not take("two")
    clocks.move(timedelta(seconds=1))
    with work():
        assert take("two")


def test_a_worker_that_died_loses_its_job_when_the_lease_ends(work):
    with work():
        take("one")
    clocks.move(MINUTE)
    with work():
        assert take("two")
        lease.finish("sweep", worker="one", every=HOUR)  # it was only slow, and has nothing to say any more
    clocks.move(MINUTE)
    with work():
        assert take("three")


def test_how_a_job_went_is_kept(work):
    with work():
        take("one")
        lease.finish("sweep", worker="one", every=HOUR, fault="ValueError: no")
    with work():
        (job,) = lease.listing()
        assert (job.name, job.worker, job.began_at, job.ended_at, job.fault) == (
            "sweep", "one", clocks.now(), clocks.now(), "ValueError: no",
        )  # fmt: skip
    clocks.move(HOUR)
    with work():
        take("two")
        lease.finish("sweep", worker="two", every=HOUR)
        assert lease.listing()[0].fault is None


def test_a_heart_beats_until_it_stops(work):
    one, two = heart.new_name(), heart.new_name()
    assert one != two
    with work():
        assert heart.last_beat() is None
        heart.beat(one)
    began = clocks.now()
    clocks.move(MINUTE)
    with work():
        heart.beat(two)
    clocks.move(MINUTE)
    with work():
        heart.beat(one)
        assert heart.last_beat() == clocks.now()
        heart.stop(one)
        assert heart.last_beat() == began + MINUTE
        heart.stop(two)
        assert heart.last_beat() is None
