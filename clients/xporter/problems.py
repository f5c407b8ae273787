"""Refusals as problem documents (RFC 9457), each of which has a page that explains it."""

from dataclasses import dataclass
from typing import Any, Final

from clients.xporter.proofs import ALGS


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its status, and what it means and what to do, for the page."""

    status: int
    title: str
    meaning: str
    action: str


KINDS: Final = {
    "invalid_request": Kind(
        400, "The request is wrong", "A parameter, a header or the body is missing or wrong.",
        "The member detail says what is wrong. Correct it; the same request would be refused again.",
    ),
    "invalid_token": Kind(
        401, "The access token is not accepted",
        "There is none, it has expired or was revoked, it is for another API, or it came without the proof it needs.",
        "Get a new access token with your refresh token, and send it with the scheme of its token_type.",
    ),
    "invalid_dpop_proof": Kind(
        401, "The DPoP proof is not accepted",
        "It was made for another request or another token, by another key, too long ago, or it was used before.",
        "Make a new proof for each request, with the hash of the access token (RFC 9449, section 7). Check your clock.",
    ),
    "insufficient_scope": Kind(
        403, "The token does not cover this", "The school has not authorised this area, or you did not ask for it.",
        "Ask the school for the scope that the WWW-Authenticate header names.",
    ),
    "school_unverified": Kind(
        403, "The school is not verified yet", "Data of a school is received and served only after it was verified.",
        "Wait: an event tells you when the school is verified.",
    ),
    "authorisation_paused": Kind(
        403, "Sharing is paused", "The school, or we, paused this sharing. Your tokens work again when it resumes.",
        "Wait: an event tells you when sharing resumes. Keep what you have, or delete it as your agreement says.",
    ),
    "authorisation_ended": Kind(
        403, "Sharing has ended", "The school has withdrawn its authorisation, or it has expired.",
        "Stop asking, delete the data as your agreement says, and ask the school again if you need it.",
    ),
    "not_found": Kind(404, "Not found", "The URL is wrong, or what was there has been deleted.",
        "Check the URL and the id.",
    ),
    "endpoint_not_registered": Kind(
        409, "No data has come from this school", "The school has not sent any data to XporterOnDemand yet.",
        "Wait: an event tells you when the school's endpoint is connected.",
    ),
    "offset_mismatch": Kind(
        409, "Another piece is expected", "The piece does not begin where the last one ended.",
        "Continue from the member offset.",
    ),
    "conflict": Kind(
        409, "It does not match its announcement", "There is an extract with this id but other content.",
        "Choose a new id for each extract.",
    ),
    "cursor_expired": Kind(
        410, "The cursor has expired", "The scopes have changed, or it is older than the deletions that we keep.",
        "Read the collection from its beginning.",
    ),
    "precondition_failed": Kind(
        412, "The condition is not met", "The header If-Match does not have the ETag of what is there now.",
        "Ask without If-Match, or with If-None-Match, which leaves out what you have already.",
    ),
    "too_large": Kind(
        413, "It is too large", "An extract has at most 100 MB, and a piece has at most 4 MiB.",
        "Send smaller pieces, or fewer collections in one extract.",
    ),
    "temporarily_unavailable": Kind(
        503, "Not at the moment", "We cannot ask the identity provider about the token, or are busy.",
        "Try again after as many seconds as the header Retry-After says.",
    ),
}  # fmt: skip
RETRY_SECONDS: Final = 5


class Problem(Exception):
    """The request is refused. `detail` says what is wrong this time; `members` are added to the document."""

    def __init__(
        self, code: str, detail: str = "", *, scheme: str | None = None, scope: str = "", **members: Any
    ) -> None:
        super().__init__(code, detail)
        self.code, self.detail, self.scheme, self.scope, self.members = code, detail, scheme, scope, members
        self.kind = KINDS[code]

    def document(self, resource: str) -> dict[str, Any]:
        """The problem document (RFC 9457 §3); its type is a URL at `resource`."""
        return {
            "type": f"{resource}/problems/{self.code}", "title": self.kind.title, "status": self.kind.status,
            "code": self.code, "detail": self.detail or self.kind.meaning, **self.members,
        }  # fmt: skip

    def challenges(self, metadata: str) -> list[str]:
        """The values of `WWW-Authenticate` (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1): one for each scheme that fits.

        A request without a token has no `error`. What is forbidden for another reason than a scope has the code that
        RFC 6750 defines for it, and the reason as well.
        """
        schemes = [self.scheme] if self.scheme else ["DPoP", "Bearer"]
        error = self.code if self.code.startswith("invalid_") or not self.scheme else "insufficient_scope"
        parameters = {
            "error": error if self.scheme else "",
            "error_description": "" if error == self.code else self.code,
            "scope": self.scope,
            "resource_metadata": metadata,
        }
        return [_challenge(scheme, parameters) for scheme in schemes]


def _challenge(scheme: str, parameters: dict[str, str]) -> str:
    if scheme == "DPoP":
        parameters = parameters | {"algs": " ".join(ALGS)}
    return f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value)
