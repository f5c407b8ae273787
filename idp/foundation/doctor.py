"""The findings of `idp doctor`, and the checks that every installation needs.

A package declares checks of its own in a `doctor` module; `idp/doctor.py` collects and runs them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal

from packaging.version import Version

from idp.foundation import production, runtime

Level = Literal["ok", "warning", "fault"]

MIN_VERSIONS: Final = {"authlib": "1.9.9", "joserfc": "1.8.0", "cryptography": "46.0.0"}
"""Older versions have published vulnerabilities (security.md §2)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was checked, the result, and what to do."""

    what: str
    level: Level
    message: str
    do: str = ""


Check = Callable[[], Iterator[Finding]]
"""A check, which runs in a transaction of its own."""


def settings() -> Iterator[Finding]:
    """Check that nothing in the settings is unusual for production."""
    unusual = production.warnings(runtime.settings())
    for warning in unusual:
        yield Finding("settings", "warning", warning, "see config/default.toml")
    if not unusual:
        yield Finding("settings", "ok", "nothing unusual")


def limits() -> Iterator[Finding]:
    """Check that the storage of the rate limits responds, which is Redis where there are several processes."""
    from idp.foundation.web.throttle import limiter

    if limiter.storage.check():
        yield Finding("limits", "ok", "are counted in the storage that throttle.storage names")
    else:
        yield Finding("limits", "warning", "Redis does not respond: each process counts alone", "see: throttle.storage")


def contact() -> Iterator[Finding]:
    """Check that a contact for reports of vulnerabilities is set."""
    if runtime.settings().service.security_contact:
        yield Finding("security contact", "ok", "is in /.well-known/security.txt")
    elif runtime.settings().environment == "production":
        message = "there is no /.well-known/security.txt, which says where to report a weakness"
        yield Finding("security contact", "warning", message, "set: service.security_contact")


def libraries() -> Iterator[Finding]:
    """Check that no installed package is older than its minimum version."""
    for name, minimum in MIN_VERSIONS.items():
        if Version(version(name)) < Version(minimum):
            yield Finding(name, "fault", f"{version(name)} is below {minimum}", "install from the lock file")
        else:
            yield Finding(name, "ok", version(name))


CHECKS: Final[tuple[Check, ...]] = (settings, limits, contact, libraries)
