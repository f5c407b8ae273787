"""Which modules `make mutants` changes."""

from pathlib import Path

import pytest

from tests.mutants import MUTANT, modules

KEYS = sorted(path.relative_to(Path.cwd()) for path in Path.cwd().glob("idp/keys/*.py"))
ROTATION = Path("idp/keys/rotation.py")


def test_the_name_of_a_package_selects_all_its_modules():
    assert modules("idp.keys") == KEYS
    assert set(KEYS) - set(modules("idp.keys.*")) == {Path("idp/keys/__init__.py")}


def test_the_name_of_a_module_or_of_its_mutant_selects_that_file():
    assert modules("idp.keys.rotation") == [ROTATION]
    assert modules("idp.keys.rotation.x_rotate__mutmut_3") == [ROTATION]
    statements = Path("idp/foundation/fastpath/statements.py")
    assert modules("idp.foundation.fastpath.statements.xǁStatementǁone__mutmut_1") == [statements]


def test_part_of_a_module_name_selects_nothing():
    assert modules("idp.key") == modules("idp.keys.rot") == []


@pytest.mark.parametrize("module", ["idp.foundation.web.transactions", "idp.oidc.extensions"])
def test_the_name_of_a_module_is_not_taken_for_that_of_a_mutant(module):
    assert not MUTANT.search(module)
