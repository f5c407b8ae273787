"""Describe faults in settings: those that pydantic reports, and unknown names in the environment."""

import os
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def where_to_begin() -> list[str]:
    """What to set first, where no file of settings is named."""
    if "IDP_CONFIG" in os.environ:
        return []
    return [
        "IDP_CONFIG is not set, so only config/default.toml was read. To try things out:",
        "  export IDP_CONFIG=config/development.toml",
        "For a real installation, see config/production.example.toml and idp config generate-secrets.",
    ]


def in_words(fault: Any) -> str:
    """One fault of a `ValidationError`, beginning with the name of its setting."""
    name = ".".join(str(part) for part in fault["loc"])
    return f"{name}: {fault['msg'].removeprefix('Value error, ')}" if name else str(fault["msg"])


def unknown_in_environment(settings: type[BaseModel]) -> list[str]:
    """Names that begin with IDP_ and are no settings: a misspelt setting must not be silently ignored."""
    names, prefixes = _names("IDP_", settings)
    known = {"IDP_CONFIG", "IDP_OPERATOR", *names}
    mine = (name.upper() for name in os.environ if name.upper().startswith("IDP_"))
    return sorted(name for name in mine if name not in known and not name.startswith(prefixes or ("\0",)))


def _names(prefix: str, section: type[BaseModel]) -> tuple[set[str], tuple[str, ...]]:
    """The names of a section's settings in the environment, and the beginnings of those in tables with free names."""
    names: set[str] = set()
    prefixes: tuple[str, ...] = ()
    for name, field in section.model_fields.items():
        here, inner = f"{prefix}{name}".upper(), field.annotation
        names.add(here)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            inner_names, inner_prefixes = _names(f"{here}__", inner)
            names, prefixes = names | inner_names, prefixes + inner_prefixes
        elif _is_table(field):
            prefixes += (f"{here}__",)
    return names, prefixes


def _is_table(field: FieldInfo) -> bool:
    return str(field.annotation).startswith("dict")
