"""Fixtures of the tests of the protocol."""

from tests.oidc.world import world

__all__ = ["world"]
