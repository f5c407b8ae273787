"""XporterOnDemand: how long an extract of a large school takes from its first byte to being applied.

The school is the fictional one of `clients.endpoint`, with a mark for each pupil, day and session of a term, which are
nine tenths of its records. The last weeks alone are what a school usually sends; the whole term is sent once.
"""

import gc
import gzip
import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.report import Figure
from clients.endpoint.fictional_school.school import build, school_days
from clients.xporter import extracts
from clients.xporter.database import Database
from clients.xporter.extracts import MAX_PIECE_BYTES, Announcement
from clients.xporter.fields import Catalogue
from clients.xporter.settings import Settings
from clients.xporter.worker import Worker
from idp.foundation import scopes

RECENT_DAYS: Final = 20
"""How many school days of attendance a usual extract has."""
GOAL_SECONDS: Final = 5.0
ESTAB: Final = "2135000"

Records = Mapping[str, Mapping[str, Mapping[str, Any]]]


def measure(url: str, dbms: str, *, pupils: int) -> list[Figure]:
    """The first extract, the same again, one with a changed pupil, and one with the whole term."""
    records: dict[str, dict[str, dict[str, Any]]] = build(pupils).records
    first_day = school_days()[-RECENT_DAYS].isoformat()
    recent = {key: mark for key, mark in records["attendance"].items() if mark["date"] >= first_day}
    usual = {**records, "attendance": recent}
    contents = {"first": _pack(usual), "same again": _pack(usual)}
    pupil = next(iter(records["students"].values()))
    pupil["preferred_given_name"] = "Another"
    contents |= {"one pupil changed": _pack(usual), "whole term": _pack(records)}
    numbers = dict.fromkeys(contents, _count(usual)) | {"whole term": _count(records)}
    del records, usual, recent, pupil
    gc.collect()
    gc.freeze()
    subject = f"XporterOnDemand, {dbms}"
    with TemporaryDirectory() as folder:
        database = Database(url)
        settings = Settings("https://idp.example", "xporter", "https://api.example", 1, Path(folder))
        worker = Worker(database, settings, _members)
        figures = []
        for what, content in contents.items():
            seconds = _apply(database, worker, content)
            note = f"{len(content) / 1e6:.1f} MB, {numbers[what]:,} records"
            goal = None if what == "whole term" else GOAL_SECONDS
            figures.append(Figure(subject, f"extract of {pupils} pupils, {what}", seconds, "s", goal, note))
        database.close()
    gc.unfreeze()
    return figures


def _members() -> dict[str, frozenset[str]]:
    """The members of each collection, as the provider publishes them."""
    data = [scope for scope in scopes.catalogue().values() if scope.kind == "data"]
    document = [
        {"scope": scope.name, "kind": "data", "fields": [{"members": list(names)} for names in scope.fields.values()]}
        for scope in data
    ]
    catalogue = Catalogue({"scopes": document})
    return {name: catalogue.granted(name, catalogue.scopes) for name in catalogue.collections}


def _pack(records: Records) -> bytes:
    header = {"format": 1, "mis": "sims", "complete": list(records)}
    lines = [{"collection": name, "key": key, "data": data} for name in records for key, data in records[name].items()]
    return gzip.compress("".join(json.dumps(line) + "\n" for line in (header, *lines)).encode(), 6)


def _count(records: Records) -> int:
    return sum(map(len, records.values()))


def _apply(database: Database, worker: Worker, content: bytes) -> float:
    """Receive the extract in pieces and apply it; returns the seconds that it took."""
    began, made_at = time.perf_counter(), time.time()
    digest = hashlib.sha256(content).hexdigest()
    announcement = Announcement(str(uuid.uuid4()), "sims", len(content), digest, made_at)
    extracts.announce(database, ESTAB, announcement, made_at)
    for offset in range(0, len(content), MAX_PIECE_BYTES):
        piece = content[offset : offset + MAX_PIECE_BYTES]
        extracts.add_piece(database, ESTAB, announcement.id, offset, piece, time.time())
    worker.apply_waiting()
    extract = extracts.find(database, ESTAB, announcement.id)
    assert extract.state == "applied", extract.problems
    return time.perf_counter() - began
