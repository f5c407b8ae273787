"""Fixtures of the tests of known vulnerabilities."""

from tests.oidc.world import world

__all__ = ["world"]
