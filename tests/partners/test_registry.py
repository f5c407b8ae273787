"""The registry of clients, as requests read it and as operators change it."""

from datetime import timedelta

import pytest

from idp.audit.models import Entry
from idp.foundation.database import session
from idp.partners import registry
from idp.partners.metadata import InvalidClientMetadata
from idp.partners.models import ClientSecret
from tests.factories import a_client, a_partner, secret_of
from tests.partners.manifests import a_manifest


def snapshot(client_id):
    """The client as requests read it, which has to exist."""
    client = registry.client(client_id)
    assert client
    return client


def register_client(**overrides):
    """Register a client that has a secret; returns both."""
    client, secret = registry.register(a_manifest(**overrides))
    assert secret
    return client, secret


def audit_entries(event):
    """The entries of the audit log about this event."""
    return session().query(Entry).filter_by(event=event).all()


def test_a_client_is_registered_from_its_manifest_and_its_secret_works(transaction):
    with transaction():
        a_partner(name="Assembly")
        client, secret = register_client()

        assert client.client_name == "Assembly"
        assert client.required_scopes == {"openid", "email", "offline_access", "students"}
        assert registry.secret_matches(snapshot(client.id), secret)
        assert len(audit_entries("client.registered")) == 1


def test_the_secret_itself_is_nowhere_in_the_database(transaction):
    with transaction():
        a_partner(name="Assembly")
        client, secret = register_client()
        (secret_row,) = session().query(ClientSecret).filter_by(client_id=client.id)

        assert secret_row.sealed is None
        assert secret_row.digest != secret.encode()


def test_a_client_id_is_generated_or_that_of_the_manifest_and_never_used_twice(transaction):
    with transaction():
        a_partner(name="Assembly")
        assert registry.register(a_manifest())[0].id.startswith("cli_")
        assert registry.register(a_manifest(client_id="assembly-demo"))[0].id == "assembly-demo"
        registry.disable("assembly-demo", by="cli")
        with pytest.raises(registry.ClientExists):
            registry.register(a_manifest(client_id="assembly-demo"))


def test_an_unknown_partner_is_reported_clearly(transaction):
    with transaction(), pytest.raises(registry.UnknownPartner, match="unknown_partner") as refused:
        registry.register(a_manifest(partner="Nobody"))

    assert "idp partners add" in refused.value.message


def test_a_public_client_has_no_secret(transaction):
    with transaction():
        a_partner(name="Assembly")
        client, secret = registry.register(a_manifest(token_endpoint_auth_method="none"))

        assert secret is None
        assert client.rotate_refresh_tokens
        assert not registry.secret_matches(snapshot(client.id), "")
        with pytest.raises(registry.NoSecret):
            registry.rotate_secret(client.id, overlap=timedelta(days=7), by="cli")


def test_only_a_secret_that_is_an_hmac_key_can_be_read_again(transaction):
    with transaction():
        a_partner(name="Assembly")
        with_hmac, secret = register_client(token_endpoint_auth_method="client_secret_jwt")
        plain, _ = registry.register(a_manifest())

        assert registry.hmac_keys(snapshot(with_hmac.id)) == [secret.encode()]
        assert registry.hmac_keys(snapshot(plain.id)) == []


def test_both_secrets_work_while_one_is_rotated_out(transaction, clock):
    with transaction():
        client = a_client()
        new = registry.rotate_secret(client.id, overlap=timedelta(days=7), by="cli")

        assert registry.secret_matches(snapshot(client.id), new)
        assert registry.secret_matches(snapshot(client.id), secret_of(client.id))
        clock.move(timedelta(days=7))
        assert registry.secret_matches(snapshot(client.id), new)
        assert not registry.secret_matches(snapshot(client.id), secret_of(client.id))


def test_rotating_again_never_prolongs_an_older_secret(transaction, clock):
    with transaction():
        client = a_client()
        registry.rotate_secret(client.id, overlap=timedelta(days=1), by="cli")
        registry.rotate_secret(client.id, overlap=timedelta(days=30), by="cli")
        clock.move(timedelta(days=2))

        assert not registry.secret_matches(snapshot(client.id), secret_of(client.id))


@pytest.mark.parametrize("secret", ["", "wrong", "pässwörd", "\ud800", "\0", "x" * 100_000])
def test_any_text_may_be_tried_as_a_secret(transaction, secret):
    with transaction():
        assert registry.secret_matches(snapshot(a_client().id), secret) is False


def test_disabled_clients_are_found_by_operators_but_not_by_requests(transaction):
    with transaction():
        client = a_client()
        assert registry.client("unknown") is None
        assert snapshot(client.id)
        registry.disable(client.id, by="opr_1")
        assert registry.client(client.id) is None
        assert registry.find(client.id).enabled is False
        registry.enable(client.id, by="opr_1")
        assert snapshot(client.id)
        with pytest.raises(registry.UnknownClient):
            registry.find("unknown")


def test_disabling_a_partner_disables_all_its_clients(transaction):
    with transaction():
        partner = a_partner()
        clients = [a_client(partner), a_client(partner)]
        assert all(registry.client(client.id) for client in clients)
        registry.switch_partner(partner.name, on=False)
        assert not any(registry.client(client.id) for client in clients)
        registry.switch_partner(partner.name, on=True)
        assert all(registry.client(client.id) for client in clients)


def test_changing_one_client_or_partner_does_not_change_others(transaction):
    with transaction():
        partner = a_partner()
        changed, neighbour, stranger = a_client(partner), a_client(partner), a_client()
        registry.disable(changed.id, by="cli")
        assert [registry.find(client.id).version for client in (changed, neighbour, stranger)] == [2, 1, 1]
        registry.switch_partner(partner.name, on=False)
        assert [registry.find(client.id).version for client in (changed, neighbour, stranger)] == [3, 2, 1]


def test_a_snapshot_is_cached_for_a_second(transaction, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with transaction():
        client = a_client()
        first = registry.client(client.id)
        client.client_name = "Renamed elsewhere"
        session().flush()
        now[0] += registry.CACHE_SECONDS - 0.01
        assert registry.client(client.id) is first
        now[0] += 0.02
        assert snapshot(client.id).client_name == "Renamed elsewhere"


def test_every_change_raises_the_version_and_is_read_at_once_in_the_same_process(transaction):
    with transaction():
        client = a_client()
        for number, act in enumerate((registry.disable, registry.enable), start=2):
            act(client.id, by="cli")
            assert registry.find(client.id).version == number
        registry.rotate_secret(client.id, overlap=timedelta(0), by="cli")
        assert snapshot(client.id).version == 4


def test_disabling_a_disabled_client_changes_and_records_nothing(transaction):
    with transaction():
        client = a_client()
        registry.disable(client.id, by="cli")
        registry.disable(client.id, by="cli")
        assert registry.find(client.id).version == 2
        assert len(audit_entries("client.disabled")) == 1


def test_a_changed_manifest_replaces_the_registration_and_keeps_the_secret(transaction):
    with transaction():
        a_partner(name="Assembly")
        client, secret = register_client(client_id="assembly-demo")
        again = {"client_id": "assembly-demo", "redirect_uris": ["https://assembly.example/new"]}
        _, new_secret = registry.change(a_manifest(**again))

        assert new_secret is None
        assert snapshot(client.id).redirect_uris == ("https://assembly.example/new",)
        assert registry.secret_matches(snapshot(client.id), secret)
        assert audit_entries("client.changed")[0].facts == {"fields": ["redirect_uris"]}


def test_the_same_manifest_again_changes_and_records_nothing(transaction):
    with transaction():
        a_partner(name="Assembly")
        register_client(client_id="assembly-demo")
        client, _ = registry.change(a_manifest(client_id="assembly-demo"))

        assert client.version == 1
        assert audit_entries("client.changed") == []


def test_a_public_client_that_becomes_confidential_gets_a_secret(transaction):
    with transaction():
        a_partner(name="Assembly")
        public, _ = registry.register(a_manifest(client_id="assembly-demo", token_endpoint_auth_method="none"))
        _, secret = registry.change(a_manifest(client_id="assembly-demo"))

        assert secret
        assert registry.secret_matches(snapshot(public.id), secret)


def test_a_changed_manifest_cannot_take_over_another_partners_client(transaction):
    with transaction():
        a_partner(name="Assembly")
        a_partner(name="Other")
        registry.register(a_manifest(client_id="assembly-demo"))
        with pytest.raises(registry.ClientExists):
            registry.change(a_manifest(client_id="assembly-demo", partner="Other"))


def test_an_empty_list_of_systems_accepts_all_and_a_filled_one_only_its_own(transaction):
    with transaction():
        accepts_all, accepts_two = a_client(), a_client(accepted_mis=frozenset({"isams", "arbor"}))

        assert registry.accepts_mis(accepts_all, "sims")
        assert registry.accepts_mis(accepts_all, None)
        assert registry.accepts_mis(accepts_two, "arbor")
        assert not registry.accepts_mis(accepts_two, "sims")
        assert not registry.accepts_mis(accepts_two, None)


def test_a_partner_is_added_once_and_its_errors_are_reported_together(transaction):
    with transaction():
        registry.add_partner("Assembly", website="https://assembly.example", contact_email="dev@assembly.example")
        with pytest.raises(registry.PartnerExists):
            registry.add_partner("Assembly", website="https://assembly.example", contact_email="dev@assembly.example")
        with pytest.raises(InvalidClientMetadata) as refused:
            registry.add_partner("", website="javascript:alert(1)", contact_email="unknown")
        registry.add_partner("Timetables Ltd", website="https://times.example", contact_email="dev@times.example")

    assert {name for name, _ in refused.value.field_errors} == {"name", "website", "contact_email"}


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "\u0663", "a b\n", "a" * 256])
def test_an_invalid_client_id_finds_no_client(transaction, text):
    with transaction():
        assert registry.client(text) is None
