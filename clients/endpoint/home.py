"""The home: a folder with the file of settings, key and tokens, the log, and extracts that are being sent.

Only the account that the program runs under can read the folder. The file is replaced whole: after a crash or a power
cut the one before or the one after is there, never half of one.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any, Final

from .errors import AlreadyRunning, DiskFull, InvalidSettings, NotRegistered, is_disk_full

STATE: Final = "endpoint.json"
LOCK: Final = "endpoint.lock"
REPLACE_WAITS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""How many seconds to wait before each new attempt to replace a file that is being read."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An extract that was made and has not been applied by the receiver."""

    id: str
    file: str
    """The name of its file in the folder of extracts."""
    bytes: int
    sha256: str
    made_at: str
    records: dict[str, int]
    """How many records it has of each collection."""
    note: str = ""
    """Which collections could not be read and why, for the school's page."""


@dataclass(frozen=True, slots=True)
class State:
    """What has to survive a restart. Times are ISO 8601 in UTC, unless a name ends in `_epoch` (seconds since 1970)."""

    issuer: str
    mis: str
    source: str
    key: dict[str, Any]
    """The private DPoP key (JWK). It identifies this endpoint at the provider."""
    name: str
    mis_username: str = ""
    mis_password: str = ""
    extract_every_seconds: int = 4 * 3600
    refresh_token: str = ""
    access_token: str = ""
    access_until_epoch: float = 0.0
    resource: str = ""
    """The receiver's URL, from the provider."""
    estab_id: str = ""
    estab_status: str = ""
    endpoint_state: str = ""
    connected_until: str = ""
    """When the school's agreement ends, unless the school renews it."""
    report_every_seconds: int = 900
    reported_at: str = ""
    extract_tried_at_epoch: float = 0.0
    pending: Pending | None = None
    last_extract: dict[str, Any] | None = None
    """`{"id", "sent_at", "records"}`, as it is reported to the provider."""
    last_error: dict[str, str] | None = None
    """`{"code", "message", "at"}`, as it is reported to the provider."""
    problem_count: int = 0
    """How many values and rows of the last extract that was made were wrong."""
    remedy: str = ""
    """What to do about the last error."""
    clock_off_seconds: int = 0


class Home:
    """The home folder of this agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.extracts = folder / "extracts"
        self.log = folder / "log"

    def prepare(self) -> None:
        """Make the folder, readable by this account alone. Raises `InvalidSettings`, `DiskFull`."""
        try:
            is_new = not self.folder.exists()
            for folder in (self.folder, self.extracts, self.log):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_new or (os.name == "posix" and self.folder.stat().st_mode & 0o077):
                _make_private(self.folder)
        except (OSError, subprocess.SubprocessError) as error:
            if isinstance(error, OSError) and is_disk_full(error):
                raise DiskFull(str(self.folder)) from error
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise InvalidSettings(
                f"The folder {self.folder} cannot be used ({reason}).",
                "Choose another one with --home, or run this as the account of the service.",
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock, so that only one process uses it. The operating system releases it after a crash.

        Raises `AlreadyRunning`.
        """
        self.prepare()
        with (self.folder / LOCK).open("a+b") as lock_file:
            _lock(lock_file)
            yield

    def load(self) -> State:
        """The state. Raises `NotRegistered`, and `InvalidSettings` if it cannot be read."""
        path = self.folder / STATE
        try:
            content = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise NotRegistered from None
        except (OSError, ValueError) as error:
            raise InvalidSettings(
                f"The file {path} cannot be read ({type(error).__name__}).",
                "Run this as the account of the service; if the file is damaged, delete it and register again.",
            ) from error
        field_names = {field.name for field in fields(State)}  # a newer version may have written more
        values = {name: value for name, value in content.items() if name in field_names}
        if values.get("pending"):
            values["pending"] = Pending(**values["pending"])
        return State(**values)

    def save(self, state: State) -> None:
        """Replace the stored state; it is on the disk when this returns. Raises `DiskFull`."""
        self._replace(STATE, json.dumps(asdict(state), indent=1).encode())

    def write_text(self, name: str, text: str) -> None:
        """Replace another file of the home. Raises `DiskFull`."""
        self._replace(name, text.encode())

    def forget(self) -> None:
        """Delete the state, and all extracts."""
        (self.folder / STATE).unlink(missing_ok=True)
        self.clean(keep=None)

    def clean(self, keep: str | None) -> None:
        """Delete all extracts but the file `keep`, and temporary files that a crash left behind."""
        if not self.folder.is_dir():
            return
        for path in [*self.extracts.glob("*"), *self.folder.glob(".*.new")]:
            if path.name != keep:
                path.unlink(missing_ok=True)

    def _replace(self, name: str, content: bytes) -> None:
        temporary: Path | None = None
        try:
            # The temporary file can be read by this account alone from the beginning (mkstemp).
            descriptor, path = tempfile.mkstemp(prefix=f".{name}.", suffix=".new", dir=self.folder)
            temporary = Path(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _rename(temporary, self.folder / name)
            _sync_folder(self.folder)
        except OSError as error:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            if is_disk_full(error):
                raise DiskFull(str(self.folder)) from error
            raise InvalidSettings(
                f"{self.folder / name} cannot be written ({error.strerror}).",
                "Run this as the account of the service, and check that it may write there.",
            ) from error


def _rename(temporary: Path, target: Path) -> None:
    """Replace `target` by `temporary`, in several attempts: Windows refuses that while a program reads `target`."""
    for seconds in REPLACE_WAITS:
        try:
            temporary.replace(target)
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    temporary.replace(target)


def _make_private(folder: Path) -> None:
    """Take away the rights of all other accounts; on Windows by the folder's access control list."""
    if sys.platform == "win32":
        account = f"{os.environ.get('USERDOMAIN', '.')}\\{os.environ.get('USERNAME', 'SYSTEM')}"
        # SYSTEM, Administrators, and Network Service, which the service runs as.
        grants = [f"{name}:(OI)(CI)F" for name in (account, "*S-1-5-18", "*S-1-5-32-544", "*S-1-5-20")]
        icacls = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "icacls.exe"
        command = [str(icacls), str(folder), "/inheritance:r", "/grant:r", *grants]
        subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603  no shell, and all arguments are our own
    else:
        folder.chmod(0o700)


def _sync_folder(folder: Path) -> None:
    """Write the folder's entry to the disk (fsync). Windows does so by itself, and cannot open folders."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock(lock_file: IO[bytes]) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            lock_file.seek(0)
            msvcrt.locking(lock_file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise AlreadyRunning from None
