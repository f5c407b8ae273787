"""What a benchmark ran on, so that its figures mean something elsewhere."""

import os
import platform
import sqlite3
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

LIBRARIES = ("flask", "authlib", "joserfc", "sqlalchemy", "cryptography", "argon2-cffi", "granian", "psycopg")
RELEVANT_SETTINGS = (
    "server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "wal_level", "max_wal_size",
    "max_connections",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """Processor, cores, memory, kernel, and the versions of the libraries that matter for speed."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": f"{platform.python_version()} ({_build()})",
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def databases(server: str | None) -> dict[str, dict[str, str]]:
    """The databases' versions, and the settings that decide what a commit costs; `server` is PostgreSQL's address."""
    by_database = {"SQLite": {"version": sqlite3.sqlite_version, "journal_mode": "WAL", "synchronous": "FULL"}}
    if server:
        with psycopg.connect(server, autocommit=True) as connection:
            settings = connection.execute(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(RELEVANT_SETTINGS)]
            )
            by_database["PostgreSQL"] = dict(settings.fetchall())
    return by_database


def commit() -> str:
    """The commit that was measured, with a plus sign where the tree had changes."""
    output = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False
    ).stdout
    return output.strip() or "unknown"


def _build() -> str:
    """How the interpreter was built: that changes figures by 12 to 17 %. Some builds do not name their options."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    if sys.base_prefix == "/usr":
        return "as the distribution builds it"
    return "with PGO" if "--enable-optimizations" in options else "without PGO"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
