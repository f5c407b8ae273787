"""Which modules `make mutants` changes."""

from pathlib import Path

import pytest

from tests.mutants import MUTANT, modules

KEYS = sorted(path.relative_to(Path.cwd()) for path in Path.cwd().glob("idp/keys/*.py"))
ROTATION = Path("idp/keys/rotation.py")


def test_a_package_means_every_module_of_it():
    assert modules("idp.keys") == KEYS
    assert set(KEYS) - set(modules("idp.keys.*")) == {Path("idp/keys/__init__.py")}


def test_a_module_and_a_mutant_of_it_mean_that_file():
    assert modules("idp.keys.rotation") == [ROTATION]
    assert modules("idp.keys.rotation.x_rotate__mutmut_3") == [ROTATION]
    statements = Path("idp/foundation/fastpath/statements.py")
    assert modules("idp.foundation.fastpath.statements.xǁStatementǁone__mutmut_1") == [statements]


def test_a_module_with_the_same_prefix_is_another_module():
    assert modules("idp.key") == modules("idp.keys.rot") == []


@pytest.mark.parametrize("module", ["idp.foundation.web.transactions", "idp.oidc.extensions"])
def test_no_module_is_taken_for_a_mutant(module):
    assert not MUTANT.search(module)
