"""Readers, one for each MIS, behind one interface: `make(mis, source)` and then `read` for each collection."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from ..records import Problems, Record
from . import arbor, cmis, isams, pupil_asset, sims
from .credentials import Credentials

Wait = Callable[[float], None]


class Reader(Protocol):
    """Reads what one MIS exports."""

    def read(self, collection: str, problems: Problems) -> Iterator[Record]:
        """All records of a collection. Rows and values that are wrong are left out and added to `problems`.

        Raises `UnreadableReport` if the collection cannot be read to its end; the records yielded before that are
        incomplete.
        """
        ...


NAMES = {"sims": "SIMS", "cmis": "CMIS", "pupil_asset": "Pupil Asset", "arbor": "Arbor", "isams": "iSAMS"}
OVER_HTTP = frozenset({"arbor", "isams"})
"""The MIS that are read over HTTP and require credentials; the others export files."""


def make(mis: str, source: str, credentials: Credentials | None, wait: Wait) -> Reader:
    """The reader for this MIS; `source` is a folder, a file or a URL. `wait` sleeps between requests."""
    if mis == "arbor":
        return arbor.reader(source, credentials or Credentials("", ""), wait)
    if mis == "isams":
        return isams.reader(source, credentials or Credentials("", ""), wait)
    files = {"sims": sims.reader, "cmis": cmis.reader, "pupil_asset": pupil_asset.reader}
    return files[mis](Path(source))


__all__ = ["NAMES", "OVER_HTTP", "Credentials", "Reader", "make"]
