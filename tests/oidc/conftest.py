"""What every test of the protocol stands on."""

from tests.oidc.world import world

__all__ = ["world"]
