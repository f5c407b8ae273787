"""Checks of `idp doctor` for the file of breached passwords."""

from collections.abc import Iterator
from typing import Final

from idp.estabs import breached
from idp.foundation import runtime
from idp.foundation.doctor import Check, Finding


def breached_passwords() -> Iterator[Finding]:
    """Check that the file in the settings can be searched. Without a file, only common passwords are refused."""
    path = runtime.settings().passwords.file
    if path is None:
        yield Finding("breached passwords", "ok", "no file is installed; common ones are refused")
    elif problem := breached.file_problem(path):
        yield Finding(
            "breached passwords", "warning", f"{path} {problem}, so nothing is compared with it",
            "install the file, or empty the setting passwords.breached_file",
        )  # fmt: skip
    else:
        yield Finding("breached passwords", "ok", f"{path.stat().st_size / 1e9:.1f} GB are compared with")


CHECKS: Final[tuple[Check, ...]] = (breached_passwords,)
