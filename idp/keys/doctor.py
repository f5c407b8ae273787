"""Checks of `idp doctor` for the signing keys."""

from collections.abc import Iterator
from typing import Final

from idp.foundation.doctor import Check, Finding
from idp.foundation.errors import one_line_summary
from idp.keys import ring


def keys() -> Iterator[Finding]:
    """Check that a key of each algorithm signs, and that the sealing key opens its private half."""
    for alg in ("ES256", "RS256"):
        try:
            ring.sign({"probe": True}, alg=alg, typ="probe")
        except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
            yield Finding(
                f"key {alg}",
                "fault",
                f"cannot sign: {one_line_summary(error)}",
                "check secrets.sealing, or: idp keys rotate",
            )
        else:
            yield Finding(f"key {alg}", "ok", "signs, and the sealing key opens it")


CHECKS: Final[tuple[Check, ...]] = (keys,)
