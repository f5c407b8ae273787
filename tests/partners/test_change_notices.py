"""A partner's contact and developers are told of each change of a secret, a key or a URI, also by our staff."""

from datetime import timedelta

import pytest

from idp.partners import manifest, registry
from idp.signin.models import Developer
from tests import factories
from tests.code_accounts import a_developer

CONTACT, SAM = "developers@assembly.example", "sam@assembly.example"


@pytest.fixture
def sam(transaction, clock):
    """The id of a person of the partner; another was invited, and has no account yet."""
    with transaction():
        partner = factories.a_partner(name="Assembly")
        factories.a_client(partner, id="assembly")
        a_developer(partner, "not-yet@assembly.example")[0].set_up_at = None
        return a_developer(partner, SAM)[0].id


def mails(outbox):
    """The texts of the mails about changes, by recipient."""
    return {mail.to: mail.text for mail in outbox.all("client_changed")}


def change(transaction, by="cli", **members):
    """Change these members of the application's manifest."""
    with transaction():
        registry.change({**manifest.from_client(registry.find("assembly")), **members}, by=by)


def test_a_new_secret_is_announced_to_the_contact_and_to_developers(transaction, outbox, sam):
    with transaction():
        secret = registry.rotate_secret("assembly", overlap=timedelta(0), by=sam)
    notices = mails(outbox)
    assert notices.keys() == {CONTACT, SAM}
    assert "It has a new secret." in notices[SAM]
    assert "by someone at Assembly" in notices[SAM]
    assert secret not in notices[SAM]


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"redirect_uris": ["https://assembly.example/new"]}, "sent back to were changed"),
        ({"jwks_uri": "https://assembly.example/jwks"}, "address of its keys was changed"),
        ({"initiate_login_uri": "https://assembly.example/x"}, "where a sign-in begins was changed"),
    ],
)
def test_changes_by_our_staff_are_mailed_to_developers(transaction, outbox, sam, members, sentence):
    change(transaction, **members)
    assert sentence in mails(outbox)[CONTACT]
    assert "by our staff" in mails(outbox)[CONTACT]
    assert not any(value in mails(outbox)[CONTACT] for value in members.values() if isinstance(value, str))


def test_changes_of_other_members_are_not_mailed(transaction, outbox, sam):
    change(transaction, purpose="Showing schools something else of what their data says.")
    assert mails(outbox) == {}


def test_a_removed_developer_gets_no_mail(transaction, outbox, sam):
    with transaction() as session:
        session.get_one(Developer, sam).disabled_at = session.get_one(Developer, sam).created_at
    change(transaction, redirect_uris=["https://assembly.example/new"])
    assert mails(outbox).keys() == {CONTACT}
