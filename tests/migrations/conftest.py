"""Fixtures: the schools and partners of the protocol's tests."""

from tests.oidc.world import world

__all__ = ["world"]
