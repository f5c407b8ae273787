"""The types of responses of the API for partners. The OpenAPI description is generated from them too."""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from idp.partner_events.facts import AgreementStatus, VerificationState
from idp.schools.query_parser import QueryKind

Connection = Literal[
    "awaiting_authorisation", "awaiting_verification", "awaiting_endpoint", "connected", "paused", "withdrawn", "closed"
]


class ResponseBody(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of every JSON object in a response: a field that is not set is left out."""


class Address(ResponseBody, frozen=True, kw_only=True):
    """A postal address; what the register leaves empty is left out."""

    street: str = ""
    locality: str = ""
    address3: Annotated[str, Meta(description="GIAS's `Address3`: a further line of the address.")] = ""
    town: str = ""
    county: str = ""
    postcode: str = ""


class Successor(ResponseBody, frozen=True, kw_only=True):
    """A school that follows a closed one."""

    name: str
    urn: Annotated[str | UnsetType, Meta(description="Left out where the school is not in the register.")] = UNSET
    since: date | UnsetType = UNSET


class RegisterEntry(ResponseBody, frozen=True, kw_only=True):
    """What the national register says about a school, as we last imported it."""

    name: str
    urn: str | UnsetType = UNSET
    dfe_number: Annotated[str | UnsetType, Meta(description="LA code and establishment number: seven digits.")] = UNSET
    ukprn: str | UnsetType = UNSET
    phase: Annotated[str, Meta(description="The phase, or the type of a school that has no phase.")]
    type: str
    status: Annotated[str, Meta(description="In words: Open, closing on 31 August 2026.")]
    address: Address
    local_authority: str
    opened_on: date | UnsetType = UNSET
    closed_on: Annotated[date | UnsetType, Meta(description="May be in the future: open until then.")] = UNSET
    successors: tuple[Successor, ...] = ()


class RegisterSchool(RegisterEntry, frozen=True, kw_only=True):
    """A school found in the register."""

    can_register: Annotated[bool, Meta(description="Whether the school can register with us now.")]


class RegisterSchools(ResponseBody, frozen=True, kw_only=True):
    """The result of a search."""

    schools: tuple[RegisterSchool, ...]
    more: Annotated[bool, Meta(description="Whether more schools match: type more, or ask for more.")]
    searched_as: Annotated[
        QueryKind | UnsetType, Meta(description="How `q` was read; left out if it is too short.")
    ] = UNSET


class Review(ResponseBody, frozen=True, kw_only=True):
    """What your application asks for that the school has not decided about yet.

    We ask the school on its own pages, and its owners in one e-mail. What it agreed to continues, even if it declines.
    """

    required_scope: Annotated[str, Meta(description="Scopes that you now require, separated by spaces.")] = ""
    optional_scope: Annotated[str, Meta(description="Optional scopes that you have added.")] = ""
    agreement_version: Annotated[
        str | UnsetType, Meta(description="The new version of your data sharing agreement, if it has one.")
    ] = UNSET


class SchoolEndpoint(ResponseBody, frozen=True, kw_only=True):
    """The program on the school's server that sends the school's data; nothing about the data."""

    state: Annotated[
        Literal["none", "registered", "connected", "lost"],
        Meta(description="`registered`: it has sent nothing yet; `lost`: not heard from for 24 hours."),
    ]
    heard_at: Annotated[datetime | UnsetType, Meta(description="When it last reported.")] = UNSET
    agent_version: str | UnsetType = UNSET


class School(ResponseBody, frozen=True, kw_only=True):
    """A school that has authorised your application, and how that stands now."""

    estab_id: Annotated[str, Meta(description="The school's Estab ID with us: never changed, never reused.")]
    status: Annotated[
        AgreementStatus,
        Meta(description="`active`; `paused` by the school, which can resume; `expired`; or `withdrawn`."),
    ]
    verification: Annotated[
        VerificationState,
        Meta(description="Whether our staff have checked the school. School data is for `verified` schools only."),
    ]
    connection: Annotated[
        Connection,
        Meta(
            description="What the school's data waits for, if anything: an authorisation that is in force, our "
            "check of the school, or its server; `closed` also where our staff rejected the school."
        ),
    ]
    endpoint: SchoolEndpoint
    scope: Annotated[str, Meta(description="The scopes that a token gets now, separated by spaces.")]
    withheld_scope: Annotated[str, Meta(description="Scopes that the school agreed to, but that are withheld now.")] = (
        ""
    )
    mis: Annotated[str | UnsetType, Meta(description="The school's management information system.")] = UNSET
    mis_accepted: Annotated[
        bool, Meta(description="`false` while your application does not accept `mis`: nothing is given out then.")
    ] = True
    agreement_version: Annotated[str, Meta(description="The version of your data sharing agreement it agreed to.")]
    review: Annotated[Review | UnsetType, Meta(description="Left out unless the school has something to decide.")] = (
        UNSET
    )
    review_declined_at: Annotated[
        datetime | UnsetType,
        Meta(description="When it last declined a review; we do not ask it for the same again."),
    ] = UNSET
    closing: Annotated[
        Literal["announced", "closed"] | UnsetType,
        Meta(description="Left out unless the register says that it closes; `register` has the day and successors."),
    ] = UNSET
    continues_as: Annotated[
        str | UnsetType,
        Meta(description="The Estab ID of the successor that decided to continue sharing; it has its own entry."),
    ] = UNSET
    authorised_at: Annotated[
        datetime, Meta(description="When the school last authorised, changed or renewed what is agreed now.")
    ]
    until: Annotated[datetime, Meta(description="When the authorisation expires, or expired.")]
    paused_at: datetime | UnsetType = UNSET
    withdrawn_at: datetime | UnsetType = UNSET
    changed_at: Annotated[
        datetime,
        Meta(
            description="When the school, our staff or the register last changed something, or `endpoint.state` did; "
            "not of your own registration, nor of `endpoint.heard_at`. A loss counts from when we record it, within "
            "minutes. For `changed_since` use a minute before the newest "
            "that you have: changes of the same moment may become visible one after the other."
        ),
    ]
    register: RegisterEntry


class Schools(ResponseBody, frozen=True, kw_only=True):
    """A page of schools."""

    schools: Annotated[
        tuple[School, ...], Meta(description="May be fewer than `limit`, or none, even if there is a `next`.")
    ]
    next: Annotated[str | UnsetType, Meta(description="The `cursor` of the next page; left out on the last.")] = UNSET


class ScopeField(ResponseBody, frozen=True, kw_only=True):
    """Something that a scope carries."""

    title: Annotated[str, Meta(description="As a school reads it.")]
    members: Annotated[
        tuple[str, ...],
        Meta(description="The members of records behind it, each as `collection.member`; only data scopes have them."),
    ]


class CatalogueScope(ResponseBody, frozen=True, kw_only=True):
    """A scope, as a school reads it."""

    scope: str
    kind: Annotated[
        Literal["identity", "data", "endpoint", "client"],
        Meta(
            description="`identity`: about the person or the school's public entry; `data`: school data, for verified "
            "schools only; `endpoint`: for the program on a school's server, which sends data; `client`: for the "
            "application itself, by client credentials."
        ),
    ]
    title: str
    explanation: str
    special_category: Annotated[bool, Meta(description="Whether the law protects it specially (UK GDPR Article 9).")]
    fields: tuple[ScopeField, ...]


class ScopeCatalogue(ResponseBody, frozen=True, kw_only=True):
    """All scopes, in the order in which a school is shown them."""

    scopes: tuple[CatalogueScope, ...]


InvitationState = Literal["sent", "opened", "forwarded", "accepted", "declined", "expired", "cancelled"]


class Contact(ResponseBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person and their e-mail address."""

    name: str
    email: str


class Invitation(ResponseBody, frozen=True, kw_only=True):
    """An invitation to a school, and how it stands."""

    id: str
    state: Annotated[
        InvitationState,
        Meta(
            description="`opened` when the person has continued to your application; `forwarded` to someone "
            "else; `accepted` when the school has authorised your application since it was made."
        ),
    ]
    school: Annotated[str, Meta(description="Its name in the register.")]
    urn: str | UnsetType = UNSET
    dfe_number: str | UnsetType = UNSET
    contact: Annotated[Contact, Meta(description="As you named them.")]
    forwarded_to: Annotated[
        Contact | UnsetType, Meta(description="Only if the person who passed it on agreed to that.")
    ] = UNSET
    mis: str | UnsetType = UNSET
    scope: Annotated[str, Meta(description="What you will ask for, separated by spaces.")]
    reference: str = ""
    mails: Annotated[int, Meta(description="How many e-mails were sent for it.")]
    created_at: datetime
    expires_at: Annotated[datetime, Meta(description="When the newest link stops working, or stopped.")]


class Invitations(ResponseBody, frozen=True, kw_only=True):
    """A page of invitations."""

    invitations: tuple[Invitation, ...]
    next: Annotated[str | UnsetType, Meta(description="The `cursor` of the next page; left out on the last.")] = UNSET


class FieldError(ResponseBody, frozen=True, kw_only=True):
    """What is wrong with one field."""

    field: str
    detail: str


class OtherEndpoint(ResponseBody, frozen=True, kw_only=True):
    """The server that is the school's endpoint."""

    name: str
    heard_at: Annotated[datetime, Meta(description="When it last reported.")]


class Problem(ResponseBody, frozen=True, kw_only=True):
    """A problem document (RFC 9457)."""

    type: Annotated[str, Meta(description="The URL at which this kind of problem is explained.")]
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(description="The kind of problem, for programs.")]
    request_id: Annotated[str, Meta(description="Tell us this if you ask for help.")]
    errors: Annotated[tuple[FieldError, ...], Meta(description="Where several fields are wrong, all of them.")] = ()
    successors: Annotated[tuple[Successor, ...], Meta(description="The schools that followed a closed one.")] = ()
    endpoint: Annotated[OtherEndpoint | UnsetType, Meta(description="The school's endpoint, if another server.")] = (
        UNSET
    )
