"""Names that look like the name of another partner or client."""

# ruff: noqa: RUF001  these names have letters of other scripts
import pytest

from idp.partners import lookalikes
from idp.partners.metadata import InvalidClientMetadata
from tests.factories import a_client, a_partner


@pytest.mark.parametrize(
    "name",
    [
        "ASSEMBLY", "Аssеmbly", "Assemb1y", "A S S E M B L Y", "Assembly.", "𝐀ssembly", "Ａssembly", "Ässembly",
        "Assernbly", "Asѕembly",
    ],
)  # fmt: skip
def test_names_that_look_alike_have_the_same_skeleton(name):
    assert lookalikes.skeleton(name) == lookalikes.skeleton("Assembly")


@pytest.mark.parametrize(("first", "second"), [("Timetabler", "Timetables"), ("Oak", "Ark"), ("Школа", "School")])
def test_names_that_do_not_look_alike_have_different_skeletons(first, second):
    assert lookalikes.skeleton(first) != lookalikes.skeleton(second)


@pytest.mark.parametrize("name", ["Assembly", "аssembly", "Oakhill Reports", "ОAKHILL  REPORTS"])
def test_names_that_look_like_another_partners_or_its_clients_are_refused(transaction, name):
    with transaction():
        mine = a_partner(name="Mine")
        a_client(a_partner(name="Assembly"), client_name="Oakhill Reports")
        with pytest.raises(InvalidClientMetadata, match="client_name"):
            lookalikes.check_name(name, mine.id)


@pytest.mark.parametrize("name", ["IDaaS", "lDааS", "IDaaS Sign-in", "The ΙDaaS", "1DAAS"])
def test_names_that_look_like_our_own_are_refused(transaction, name):
    with transaction(), pytest.raises(InvalidClientMetadata, match="client_name"):
        lookalikes.check_name(name, a_partner().id)


def test_a_partner_may_use_its_own_names_again(transaction):
    with transaction():
        mine = a_partner(name="Assembly")
        a_client(mine, client_name="Assembly Reports")
        lookalikes.check_name("Assembly", mine.id)
        lookalikes.check_name("Assembly Reports", mine.id)
        lookalikes.check_name("Assembly Timetable", mine.id)


def test_a_sector_cannot_be_a_host_of_another_partner(transaction):
    with transaction():
        mine = a_partner(website="https://mine.example")
        a_client(a_partner(website="https://other.example"), redirect_uris=["https://app.other.example/cb"])
        for host in ("app.other.example", "other.example", "assembly.example"):
            with pytest.raises(InvalidClientMetadata, match="subject_type"):
                lookalikes.check_sector(host, mine.id)
        for allowed in ("mine.example", "127.0.0.1", None):
            lookalikes.check_sector(allowed, mine.id)
