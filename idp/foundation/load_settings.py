"""Reads the settings from files and the environment, and checks them in combination."""

import copy
import secrets
import tomllib
from itertools import takewhile
from typing import Any

from pydantic import ValidationError

from idp.foundation import production, setting_errors
from idp.foundation.setting_types import ROOT
from idp.foundation.settings import Settings, read_file


class InvalidSettings(Exception):
    """The settings are wrong; the message lists every error with the name of its setting."""


def load(**overrides: Any) -> Settings:
    """Read the settings, or raise `InvalidSettings` naming all that is wrong with them."""
    problems = [f"{name}: there is no such setting" for name in setting_errors.unknown_in_environment(Settings)]
    settings: Settings | None = None
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        problems += map(setting_errors.describe, error.errors())
        settings = _replace_invalid(error, overrides)
    except (OSError, tomllib.TOMLDecodeError) as error:
        problems.append(str(error))
    if settings is not None:
        more = production.inconsistencies(settings)
        more += production.production_problems(settings) if settings.environment == "production" else []
        named = {problem.partition(":")[0] for problem in problems}
        problems += [
            problem for problem in more if problem.partition(":")[0] not in named
        ]  # there the default would be checked instead
    if problems or settings is None:
        raise InvalidSettings("The settings have errors:\n  " + "\n  ".join([*problems, *setting_errors.first_steps()]))
    return settings


def _replace_invalid(error: ValidationError, overrides: dict[str, Any]) -> Settings | None:
    """The settings with their defaults in place of what is wrong, so that the rest is checked too; None if that fails.

    What has no default is a secret, for which a random key stands in.
    """
    repaired, defaults = copy.deepcopy(overrides), read_file(ROOT / "config" / "default.toml")
    for details in error.errors():
        *tables, name = [str(part) for part in takewhile(lambda part: isinstance(part, str), details["loc"])]
        table_values, table_defaults = repaired, defaults
        for table in tables:
            table_values, table_defaults = table_values.setdefault(table, {}), table_defaults.get(table, {})
        stand_in: Any = secrets.token_bytes(32)
        table_values[name] = table_defaults.get(name, {"stand-in": stand_in} if name == "sealing" else stand_in)
    try:
        return Settings(**repaired)
    except ValidationError:
        return None
