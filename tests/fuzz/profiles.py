"""How many examples the fuzzers try: few, and the same each time, in the suite; many, and different ones, by `make
fuzz`.

The environment's `HYPOTHESIS_PROFILE` names the profile. `fuzz_settings` applies it to single tests: a default
profile would apply to all other tests too.
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
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "short")


def fuzz_settings(share: float = 1.0) -> settings:
    """The chosen profile, with its number of examples multiplied by `share`: below 1 for slow tests, above 1 for quick
    ones.
    """
    chosen = settings.get_profile(PROFILE)
    return settings(chosen, max_examples=max(2, int(chosen.max_examples * share)))
