"""Slips of the finger that can be told from what was typed: an address that ends almost as very many do.

Only suggested, never corrected by us: a person may really be at gmial.com.
"""

from typing import Final

from rapidfuzz.distance import OSA

PROVIDERS: Final = (
    "gmail.com", "googlemail.com", "hotmail.com", "hotmail.co.uk", "outlook.com", "live.co.uk", "icloud.com",
    "yahoo.com", "yahoo.co.uk", "btinternet.com", "talktalk.net", "virginmedia.com",
)  # fmt: skip
"""Where many people in Britain have their mail."""

ENDINGS: Final = ("sch.uk", "gov.uk", "org.uk", "co.uk", "ac.uk")
"""How the addresses of schools, councils, trusts and companies end."""

REAL: Final = frozenset({"ymail.com", "email.com", "mail.com", "nhs.uk", "me.uk"})
"""One letter beside one of these, and no slip."""


def meant_instead(email: str) -> str | None:
    """The address that was probably meant; None where this one looks right."""
    name, _, typed = email.rpartition("@")
    domain = typed.lower()
    if meant := _nearest(domain, PROVIDERS):
        return f"{name}@{meant}"
    *organisation, last, very_last = domain.split(".")
    if organisation and (meant := _nearest(f"{last}.{very_last}", ENDINGS)):
        return f"{name}@{'.'.join(organisation)}.{meant}"
    return None


def _nearest(typed: str, known: tuple[str, ...]) -> str | None:
    """The only one of `known` that is a single slip away."""
    if typed in known or typed in REAL:
        return None
    near = [each for each in known if OSA.distance(typed, each, score_cutoff=1) == 1]
    return near[0] if len(near) == 1 else None
