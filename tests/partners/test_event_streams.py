"""How a client gets events is part of its manifest, which is checked for what it is used for."""

import pytest

from idp.partners import event_streams, registry
from idp.partners.manifest import parse_manifest
from idp.partners.metadata import InvalidClientMetadata
from tests.factories import a_partner
from tests.partners.manifests import a_manifest

PUSH, POLL = "urn:ietf:rfc:8935", "urn:ietf:rfc:8936"
URL = "https://assembly.example/events"
GRANTS_AND_SCOPES = {
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "scopes": {"required": ["openid", "offline_access"], "client": ["events"]},
}


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("events", "name"),
    [
        ({"method": PUSH}, "events.endpoint_url"),
        ({"method": PUSH, "endpoint_url": "http://assembly.example/events"}, "events.endpoint_url"),
        ({"method": PUSH, "endpoint_url": "https://user:secret@assembly.example/"}, "events.endpoint_url"),
        ({"method": POLL, "endpoint_url": URL}, "events.endpoint_url"),
        ({"method": "urn:ietf:rfc:8937"}, "events.method"),
        ({"endpoint_url": URL}, "events.method"),
        ({"method": POLL}, "events"),
        ({"method": PUSH, "endpoint_url": URL, "types": ["sharing-began"]}, "events.types"),
        ({"method": PUSH, "endpoint_url": URL, "types": ["verification"]}, "events.types"),
        ({"method": PUSH, "endpoint_url": URL, "authorization_header": "Bearer x"}, "events.authorization_header"),
    ],
)
def test_invalid_event_settings_are_refused(transaction, events, name):
    with transaction(), pytest.raises(InvalidClientMetadata) as refused:
        parse_manifest(a_manifest(events=events))
    assert name in dict(refused.value.field_errors)


def test_push_and_poll_are_registered_changed_and_removed(transaction):
    with transaction():
        a_partner(name="Assembly")
        push = {"method": PUSH, "endpoint_url": URL, "types": ["sharing-withdrawn"]}
        client, _ = registry.register(a_manifest(client_id="assembly", **GRANTS_AND_SCOPES, events=push))
        assert (client.events_method, client.events_endpoint_url) == (PUSH, URL)
        assert event_streams.receives(client, "sharing-withdrawn")
        assert event_streams.receives(client, "verification")
        assert not event_streams.receives(client, "sharing-paused")
        registry.change(a_manifest(client_id="assembly", **GRANTS_AND_SCOPES, events={"method": POLL}))
        assert (client.events_method, client.events_endpoint_url) == (POLL, None)
        assert event_streams.receives(client, "sharing-paused")
        registry.change(a_manifest(client_id="assembly", **GRANTS_AND_SCOPES))
        assert client.events_method is None
        assert not event_streams.receives(client, "verification")


def test_the_authorization_header_is_kept_until_the_url_of_events_changes(transaction):
    with transaction():
        a_partner(name="Assembly")
        manifest = a_manifest(client_id="assembly", events={"method": PUSH, "endpoint_url": URL})
        client, _ = registry.register(manifest)
        event_streams.set_authorization("assembly", "Bearer x", by="cli")
        registry.change(manifest | {"purpose": "To show something else to staff."})
        assert event_streams.authorization(client.id, client.events_authorization) == "Bearer x"
        registry.change(manifest | {"events": {"method": PUSH, "endpoint_url": URL + "/new"}})
        assert event_streams.authorization(client.id, client.events_authorization) is None


def test_an_authorization_header_without_a_url_for_events_is_refused(transaction):
    with transaction():
        a_partner(name="Assembly")
        registry.register(a_manifest(client_id="assembly"))
        with pytest.raises(event_streams.NothingPushed):
            event_streams.set_authorization("assembly", "Bearer x", by="cli")
