"""The catalogue of management information systems, `config/mis.toml`."""

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from idp.foundation.setting_types import ROOT


@dataclass(frozen=True, slots=True)
class Mis:
    """A management information system; `endpoint` is true if our agent in schools reads it."""

    code: str
    name: str
    also: tuple[str, ...] = ()
    """Other names that people type for it."""
    endpoint: bool = False


@cache
def catalogue() -> dict[str, Mis]:
    """Every system by its code, in the order in which pages list them."""
    table = tomllib.loads((ROOT / "config" / "mis.toml").read_text("utf-8"))["mis"]
    return {code: Mis(code, **{**entry, "also": tuple(entry.get("also", ()))}) for code, entry in table.items()}


def name(code: str | None) -> str:
    """The name of the system `code`; "not known" if there is none."""
    system = catalogue().get(code or "")
    return system.name if system else "not known"


def names(codes: Collection[str]) -> str:
    """The names of several systems for a sentence, in the catalogue's order: "iSAMS, SIMS or Arbor"."""
    matching = [entry.name for code, entry in catalogue().items() if code in codes]
    return " or ".join(filter(None, [", ".join(matching[:-1]), *matching[-1:]]))
