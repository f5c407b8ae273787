"""Describe errors in settings: those that pydantic reports, and unknown names in the environment."""

import os
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def first_steps() -> list[str]:
    """What to set first, if `IDP_CONFIG` names no settings file; for the error message."""
    if "IDP_CONFIG" in os.environ:
        return []
    return [
        "IDP_CONFIG is not set, so only config/default.toml was read. To try things out:",
        "  export IDP_CONFIG=config/development.toml",
        "For a real installation, see config/production.example.toml and idp config generate-secrets.",
    ]


def describe(error: Any) -> str:
    """One error of a `ValidationError`, beginning with the name of its setting."""
    name = ".".join(str(part) for part in error["loc"])
    return f"{name}: {error['msg'].removeprefix('Value error, ')}" if name else str(error["msg"])


def unknown_in_environment(settings: type[BaseModel]) -> list[str]:
    """Environment variables that begin with IDP_ and are not settings: a misspelt setting must not be ignored."""
    names, prefixes = _names("IDP_", settings)
    known = {"IDP_CONFIG", "IDP_OPERATOR", *names}
    set_names = (name.upper() for name in os.environ if name.upper().startswith("IDP_"))
    return sorted(name for name in set_names if name not in known and not name.startswith(prefixes or ("\0",)))


def _names(prefix: str, section: type[BaseModel]) -> tuple[set[str], tuple[str, ...]]:
    """The names of a section's settings in the environment, and the beginnings of those in tables with free names."""
    names: set[str] = set()
    prefixes: tuple[str, ...] = ()
    for name, field in section.model_fields.items():
        full_name, annotation = f"{prefix}{name}".upper(), field.annotation
        names.add(full_name)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section_names, section_prefixes = _names(f"{full_name}__", annotation)
            names, prefixes = names | section_names, prefixes + section_prefixes
        elif _is_table(field):
            prefixes += (f"{full_name}__",)
    return names, prefixes


def _is_table(field: FieldInfo) -> bool:
    return str(field.annotation).startswith("dict")
