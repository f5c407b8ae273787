"""How long the fuzzers try: briefly, and the same each time, in the suite; for long, and differently, by `make fuzz`.

The profile is the environment's `HYPOTHESIS_PROFILE`. It is put on each test by `deep`, and never made the default,
because that would be the default of every other test too.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "short", derandomize=True, deadline=None, database=None, max_examples=10, stateful_step_count=10,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)  # fmt: skip
settings.register_profile(
    "long", parent=settings.get_profile("short"), derandomize=False, max_examples=60, stateful_step_count=30,
)  # fmt: skip
CHOSEN = os.environ.get("HYPOTHESIS_PROFILE", "short")


def deep(share: float = 1.0) -> settings:
    """The chosen profile, with `share` of its examples: less for what is slow, more for what is quick."""
    chosen = settings.get_profile(CHOSEN)
    return settings(chosen, max_examples=max(2, int(chosen.max_examples * share)))
