"""Checks of `idp doctor` for other identity providers: whether those that are switched on respond."""

from collections.abc import Iterator
from typing import Final

from idp.federation import metadata, providers
from idp.foundation.doctor import Check, Finding
from idp.foundation.errors import Refusal


def federation() -> Iterator[Finding]:
    """Check that metadata and keys of each provider that is switched on can be fetched."""
    for provider in providers.enabled():
        what = f"sign-in with {provider.kind.title}"
        try:
            count = len(metadata.keys(metadata.for_provider(provider), None))
        except Refusal as error:
            yield Finding(what, "warning", error.reason, f"see: federation.{provider.name}.authority and issuer")
            continue
        yield Finding(what, "ok", f"{count} keys")
    if not providers.enabled():
        yield Finding("sign-in with other accounts", "ok", "is switched off")


CHECKS: Final[tuple[Check, ...]] = (federation,)
