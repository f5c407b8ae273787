"""What the terminal is told."""

from idp.demo import words
from idp.demo.places import Place, Places


def test_the_terminal_says_where_to_go_and_how_to_verify(settings):
    where = Places(*(Place(name, port, "") for name, port in (("idp", 5000), ("assembly", 5001), ("mailbox", 5002))))

    said = words.ready(settings, where, 3.2, "http://localhost:5000/set-up/secret")

    for needed in (
        "http://localhost:5001",
        "http://localhost:5002",
        "onboarding verify 3124567",
        "demo-reset",
        "/set-up/",
    ):
        assert needed in said
