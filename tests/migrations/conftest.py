from tests.oidc.world import world  # noqa: F401  a fixture
