"""The instructions in the terminal."""

from idp.demo import messages
from idp.demo.services import Service, Services


def test_the_instructions_have_the_urls_and_the_commands(settings):
    where = Services(
        *(
            Service(name, port, "")
            for name, port in (
                ("idp", 5000),
                ("assembly", 5001),
                ("mailbox", 5002),
                ("xporter", 5003),
                ("booking", 5004),
                ("smtp", 5025),
            )
        )
    )

    text = messages.ready(settings, where, 3.2, "http://localhost:5000/set-up/secret")

    for needed in (
        "http://localhost:5001",
        "http://localhost:5002",
        "http://localhost:5004",
        "WELCOME-TO-ASSEMBLY",
        "onboarding verify 3124567",
        "var/demo/school-server register --issuer http://localhost:5000 --mis sims --source var/demo/mis/sims",
        "var/demo/school-mis --change leaves",
        "demo-reset",
        "/set-up/",
    ):
        assert needed in text
