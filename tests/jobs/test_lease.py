"""A scheduled job is leased to one of several workers; the lease of a worker that died expires."""

from datetime import timedelta

import pytest

from idp.foundation import clock as clocks
from idp.jobs import heartbeats, lease

pytestmark = pytest.mark.usefixtures("clock")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def take(worker="one"):
    return lease.take("sweep", worker=worker, lease=MINUTE)


def test_a_new_job_is_due_and_can_be_leased_once(transaction):
    with transaction():
        assert take("one")
    with transaction():
        assert not take("two")
        assert not take("one")


def test_of_eight_concurrent_workers_one_gets_the_lease(run_concurrently):
    outcomes = run_concurrently(8, take)
    assert sorted(map(str, outcomes)) == ["False"] * 7 + ["True"]


def test_a_job_is_due_again_an_interval_after_it_began(transaction):
    with transaction():
        take("one")
    clocks.move(timedelta(seconds=40))
    with transaction():
        lease.finish("sweep", worker="one", every=HOUR)
        assert not take("two")
    clocks.move(HOUR - timedelta(seconds=41))
    with transaction():
        assert not take("two")
    clocks.move(timedelta(seconds=1))
    with transaction():
        assert take("two")


def test_the_lease_of_a_worker_that_died_expires(transaction):
    with transaction():
        take("one")
    clocks.move(MINUTE)
    with transaction():
        assert take("two")
        lease.finish("sweep", worker="one", every=HOUR)  # the first worker was slow, and no longer has the lease
    clocks.move(MINUTE)
    with transaction():
        assert take("three")


def test_the_result_of_a_job_is_stored(transaction):
    with transaction():
        take("one")
        lease.finish("sweep", worker="one", every=HOUR, fault="ValueError: no")
    with transaction():
        (job,) = lease.list_jobs()
        assert (job.name, job.worker, job.began_at, job.ended_at, job.fault) == (
            "sweep", "one", clocks.now(), clocks.now(), "ValueError: no",
        )  # fmt: skip
    clocks.move(HOUR)
    with transaction():
        take("two")
        lease.finish("sweep", worker="two", every=HOUR)
        assert lease.list_jobs()[0].fault is None


def test_the_last_heartbeat_is_that_of_a_running_worker(transaction):
    first, second = heartbeats.new_name(), heartbeats.new_name()
    assert first != second
    with transaction():
        assert heartbeats.last_beat() is None
        heartbeats.beat(first)
    began = clocks.now()
    clocks.move(MINUTE)
    with transaction():
        heartbeats.beat(second)
    clocks.move(MINUTE)
    with transaction():
        heartbeats.beat(first)
        assert heartbeats.last_beat() == clocks.now()
        heartbeats.stop(first)
        assert heartbeats.last_beat() == began + MINUTE
        heartbeats.stop(second)
        assert heartbeats.last_beat() is None
