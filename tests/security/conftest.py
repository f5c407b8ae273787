"""What tests of known vulnerabilities stand on."""

from tests.oidc.world import world

__all__ = ["world"]
