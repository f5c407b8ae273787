"""Suggest a correction for an e-mail address whose domain is almost a common one.

Only a suggestion: the address is never changed for the person, who may really be at gmial.com.
"""

from typing import Final

from rapidfuzz.distance import OSA

PROVIDERS: Final = (
    "gmail.com", "googlemail.com", "hotmail.com", "hotmail.co.uk", "outlook.com", "live.co.uk", "icloud.com",
    "yahoo.com", "yahoo.co.uk", "btinternet.com", "talktalk.net", "virginmedia.com",
)  # fmt: skip
"""Mail services that many people in Britain use."""

ENDINGS: Final = ("sch.uk", "gov.uk", "org.uk", "co.uk", "ac.uk")
"""Endings of the domains of schools, councils, trusts and companies."""

NOT_TYPOS: Final = frozenset({"ymail.com", "email.com", "mail.com", "nhs.uk", "me.uk"})
"""Real domains that differ from one of the above by one letter."""


def suggest(email: str) -> str | None:
    """The address that the person probably meant; None if this one looks right."""
    name, _, typed_domain = email.rpartition("@")
    domain = typed_domain.lower()
    if suggestion := _nearest(domain, PROVIDERS):
        return f"{name}@{suggestion}"
    *organisation, second_level, top_level = domain.split(".")
    if organisation and (suggestion := _nearest(f"{second_level}.{top_level}", ENDINGS)):
        return f"{name}@{'.'.join(organisation)}.{suggestion}"
    return None


def _nearest(domain: str, candidates: tuple[str, ...]) -> str | None:
    """The candidate that is one edit away, if it is the only one."""
    if domain in candidates or domain in NOT_TYPOS:
        return None
    near = [candidate for candidate in candidates if OSA.distance(domain, candidate, score_cutoff=1) == 1]
    return near[0] if len(near) == 1 else None
