"""The school's server in plain words, for the pages that show it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from idp.foundation import dates
from idp.partners import mis_catalogue
from idp.xporter.models import Endpoint

STATES: Final = {
    "registered": ("Waiting for the first data", "info"),
    "connected": ("Connected", "success"),
    "lost": ("Not heard from", "warning"),
}
"""By the state of an endpoint: words, and the kind of badge."""
COLLECTIONS: Final = {"students": "Pupils", "contacts": "Parents and carers", "attendance": "Attendance marks"}
"""Collections of an extract whose names are not those that schools use."""
ADVICE: Final = {
    "unreachable": (
        "Check that the server reaches the internet and your management information system, and that no firewall or "
        "proxy has changed."
    ),
    "extract_failed": (
        "Check that your management information system is running, and that its export or API access still works."
    ),
    "mis_partly_unreadable": (
        "Everything else was sent. Check that your management information system still exports all of its files."
    ),
    "suspiciously_few": (
        "Services keep what they have. Check that the export of your management information system is complete: the "
        "next one is then sent by itself. If so many people have really left, run the command xporter-endpoint once "
        "--accept-fewer on the server."
    ),
    "bad_settings": (
        "Check on the server that the export folder or the address of your system is right, and its username and "
        "password."
    ),
    "disk_full": "Free some space on the server's disk.",
    "already_running": (
        "The program runs twice on the server. Leave the service running, and use Send data now on this page."
    ),
    "extract_refused": "A new extract is made by itself. Please call us if this is still here tomorrow.",
}
"""What to do about an error of the agent, by its code."""
DEFAULT_TO_DO: Final = (
    "Run the command xporter-endpoint status on the server: it says more. Please call us if that does not help."
)


@dataclass(frozen=True, slots=True)
class EndpointPage:
    """What pages show of the endpoint; dates are formatted."""

    id: str
    state: str
    state_text: str
    kind: str
    """The kind of badge in which `words` are shown."""
    name: str
    system: str
    other_system: str
    """The name of the system that the school has named, if the server reads another; otherwise empty."""
    version: str
    platform: str
    heard: str
    registered: str
    is_extract_wanted: bool
    extract_at: str
    records: list[tuple[str, str]]
    """What the last extract held: collection, and number of records."""
    error: str
    """What went wrong last; empty if nothing."""
    error_at: str
    to_do: str


def build_page(endpoint: Endpoint | None) -> EndpointPage | None:
    """The endpoint as pages show it."""
    if endpoint is None:
        return None
    state_text, kind = STATES[endpoint.state]
    school_system = endpoint.estab.mis
    extract, error = endpoint.last_extract or {}, endpoint.last_error
    return EndpointPage(
        id=endpoint.id, state=endpoint.state, state_text=state_text, kind=kind, name=endpoint.name,
        system=mis_catalogue.name(endpoint.mis),
        other_system="" if school_system in {None, endpoint.mis} else mis_catalogue.name(school_system),
        version=endpoint.agent_version, platform=endpoint.platform,
        heard=dates.day_and_time(endpoint.heard_at), registered=dates.day(endpoint.registered_at),
        is_extract_wanted=endpoint.is_extract_wanted,
        extract_at=dates.day_and_time(endpoint.extract_at) if endpoint.extract_at else "",
        records=[
            (COLLECTIONS.get(name) or name.replace("_", " ").capitalize(), f"{number:,}")
            for name, number in extract.get("records", {}).items()
        ],
        error=error["message"] if error else "",
        error_at=dates.day_and_time(datetime.fromisoformat(error["at"])) if error else "",
        to_do=ADVICE.get(error["code"], DEFAULT_TO_DO) if error else "",
    )  # fmt: skip
