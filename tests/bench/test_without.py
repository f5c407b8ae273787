"""Each fast path can still be left out of the service, so that `make bench WHAT=fastpaths` can measure it."""

from unittest.mock import patch

import pytest

from bench.without import CHANGES


@pytest.mark.parametrize("name", CHANGES)
def test_every_replacement_of_a_fast_path_patches_names_that_exist(name):
    try:
        CHANGES[name]()  # fails if a name that it replaces was renamed
    finally:
        patch.stopall()
