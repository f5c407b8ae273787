"""The worker is killed while it pushes events: the next one sends them again, in order, each with the same `jti`."""

import threading

import pytest
from sqlalchemy import select

from idp.foundation.database import session
from idp.partner_events import streams
from idp.partner_events.models import EventStream, PartnerEvent
from idp.partners import event_types
from tests.factories import a_client
from tests.partner_events.receiving import an_endpoint
from tests.processes import a_process


@pytest.fixture
def worker(settings, tmp_path):
    """`worker()` runs `idp worker` in a new process."""

    def run():
        overrides = {"database__url": settings.database.url, "outbox__interval": 0.05}
        return a_process("idp.cli", "worker", log=tmp_path / "log", **overrides)

    return run


def test_events_that_a_killed_worker_was_pushing_are_pushed_again_in_order(worker, transaction):
    arrived, may_respond = threading.Event(), threading.Event()

    def hold_second_event(claims):
        if claims["events"][event_types.VERIFICATION.uri] == {"state": "1"} and not arrived.is_set():
            arrived.set()
            may_respond.wait(60)
            return 503
        return 202

    with an_endpoint() as endpoint:
        endpoint.respond = hold_second_event
        with transaction():
            client_id = a_client(events_method=event_types.PUSH, events_endpoint_url=endpoint.url).id
            jtis = [streams.verify(client_id, str(number)) for number in range(3)]
        with worker() as process:
            process.wait_until(arrived.is_set)
            process.kill()
        may_respond.set()
        with transaction() as database:
            waiting = database.scalars(select(PartnerEvent).where(PartnerEvent.delivered_at.is_(None))).all()
            assert len(waiting) == 3, "nothing of the round was recorded"
            stream = database.get_one(EventStream, client_id)
            assert stream.leased_by is not None
            stream.leased_until = stream.due_at  # as if the lease had ended
        with worker() as process:
            process.wait_until(lambda: _delivered(transaction) == 3)
        accepted_jtis = [claims["jti"] for claims in endpoint.accepted]
    assert accepted_jtis == [jtis[0], *jtis], "the first event is sent twice, with the same `jti`"


def _delivered(transaction):
    with transaction():
        return session().query(PartnerEvent).filter(PartnerEvent.delivered_at.is_not(None)).count()
