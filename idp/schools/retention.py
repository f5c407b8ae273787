"""How long the national register and its changes are kept (security.md §6.4)."""

from typing import Final

from idp.foundation.retention import DeleteAfter, KeepAll, Rule
from idp.schools.models import (
    RegisterImport,
    School,
    SchoolChange,
    SchoolLink,
    SchoolWord,
    SearchWord,
    WordTrigram,
)

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(SchoolChange.told_at, "register_changes"),
    KeepAll(School, "accounts refer to them, also after they have left the register"),
    KeepAll(SchoolLink, "each import replaces them"),
    KeepAll(RegisterImport, "one a day; an older file than the last one is refused"),
    *(
        KeepAll(model, "the search index: each import brings it up to date")
        for model in (SearchWord, SchoolWord, WordTrigram)
    ),
)
