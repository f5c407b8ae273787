"""Errors, each with a code for support, a sentence about what happened, and one about what to do.

No message contains personal data or a secret: messages are logged, shown, and reported to the provider.
"""

import errno


def printable(text: str) -> str:
    """The text without control characters: those of a server or a file could move the cursor or forge a log line."""
    return "".join(char if char.isprintable() else " " for char in text)


class AgentError(Exception):
    """The base of these errors. `code` is for support, `remedy` for the person at the server."""

    code = "failed"
    exit_status = 1

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message, self.remedy = printable(message), printable(remedy)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


class ServerUnreachable(AgentError):
    """A server did not respond, or was too busy: the request may be repeated later, after `retry_after` seconds."""

    code = "unreachable"

    def __init__(
        self, message: str, remedy: str = "The agent will try again.", retry_after: float | None = None
    ) -> None:
        super().__init__(message, remedy)
        self.retry_after = retry_after


class RequestRefused(AgentError):
    """A server responded with an error: `error` is its code, `document` the JSON object of the response."""

    code = "refused"

    def __init__(self, status: int, error: str, detail: str, document: dict[str, object], url: str) -> None:
        super().__init__(f"{url} refused ({status} {error}): {detail}", "If this stays, tell support the line above.")
        self.status, self.error, self.document = status, error, document


class NotRegistered(AgentError):
    """This server was never registered, or its registration has ended."""

    code, exit_status = "not_registered", 3

    def __init__(self) -> None:
        super().__init__("This server is not registered.", "Run the command register, and approve it in a browser.")


class RegistrationEnded(AgentError):
    """The provider no longer accepts the tokens: they were revoked or have expired, or the endpoint was replaced."""

    code, exit_status = "registration_ended", 3

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"The registration of this server has ended ({detail}).",
            "If data is to be sent from here, run the command register again, and then start the service.",
        )


class SharingInterrupted(AgentError):
    """The school has paused this server, or is suspended: the tokens work again afterwards."""

    code = "interrupted"

    def __init__(self) -> None:
        super().__init__(
            "The school has paused this server on its page, or is suspended, so nothing is sent.",
            "When the school resumes it, sending continues by itself.",
        )


class EndpointExists(AgentError):
    """Another server of the school is registered."""

    code = "endpoint_exists"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"Another server of this school is registered. {detail}".strip(),
            "If this one takes its place, run the command register with --replace.",
        )


class AlreadyRunning(AgentError):
    """Another process uses the same home folder."""

    code = "already_running"

    def __init__(self) -> None:
        super().__init__(
            "The program is already running here, probably as a service.",
            "Stop the service first, or press Send data now on the school's page.",
        )


class DiskFull(AgentError):
    """The disk has no room for a file."""

    code = "disk_full"

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"The disk with {folder} is full.", "Free some space: 200 MB are plenty. Sending then continues by itself."
        )


class InvalidSettings(AgentError):
    """An option, an address or the settings file cannot be used."""

    code = "bad_settings"


class TooFewRecords(AgentError):
    """The MIS has far fewer people than before: probably half an export, for which no pupil must be deleted."""

    code = "suspiciously_few"

    def __init__(self, counts: str) -> None:
        super().__init__(
            f"The MIS has suspiciously few records: {counts}. Nothing was sent, so that nothing is deleted.",
            "Check the export. If the numbers are right, run: once --accept-fewer",
        )


class ExtractFailed(AgentError):
    """Nothing could be read from the MIS, or the receiver did not take what was sent."""

    code = "extract_failed"


def is_disk_full(error: OSError) -> bool:
    """Whether the operating system says that there is no room, or no quota, left."""
    return error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)} or getattr(
        error, "winerror", None
    ) in {39, 112}
