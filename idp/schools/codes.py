"""The register's code lists, and what they mean for a school that wants to register.

An unknown code is stored with the name that the file gives it, and counted; the register adds types every year.
"""

OPEN = "1"
CLOSED = "2"
CLOSING = "3"
"""Open, but proposed to close: the close date is in the future, and until then the school is open."""
PROPOSED = "4"

OPEN_STATUSES = frozenset({OPEN, CLOSING})
"""Statuses of schools that are open."""

STATUSES = {OPEN: "Open", CLOSED: "Closed", CLOSING: "Open, but proposed to close", PROPOSED: "Proposed to open"}

PHASES = {
    "0": "Not applicable",
    "1": "Nursery",
    "2": "Primary",
    "3": "Middle deemed primary",
    "4": "Secondary",
    "5": "Middle deemed secondary",
    "6": "16 plus",
    "7": "All-through",
}

TYPE_GROUPS = {
    "1": "Colleges",
    "2": "Universities",
    "3": "Independent schools",
    "4": "Local authority maintained schools",
    "5": "Special schools",
    "6": "Welsh schools",
    "9": "Other types",
    "10": "Academies",
    "11": "Free Schools",
    "13": "Online provider",
}

TYPES = {
    "1": "Community school",
    "2": "Voluntary aided school",
    "3": "Voluntary controlled school",
    "5": "Foundation school",
    "6": "City technology college",
    "7": "Community special school",
    "8": "Non-maintained special school",
    "10": "Other independent special school",
    "11": "Other independent school",
    "12": "Foundation special school",
    "14": "Pupil referral unit",
    "15": "Local authority nursery school",
    "18": "Further education",
    "24": "Secure units",
    "25": "Offshore schools",
    "26": "Service children's education",
    "27": "Miscellaneous",
    "28": "Academy sponsor led",
    "29": "Higher education institutions",
    "30": "Welsh establishment",
    "31": "Sixth form centres",
    "32": "Special post 16 institution",
    "33": "Academy special sponsor led",
    "34": "Academy converter",
    "35": "Free schools",
    "36": "Free schools special",
    "37": "British schools overseas",
    "38": "Free schools alternative provision",
    "39": "Free schools 16 to 19",
    "40": "University technical college",
    "41": "Studio schools",
    "42": "Academy alternative provision converter",
    "43": "Academy alternative provision sponsor led",
    "44": "Academy special converter",
    "45": "Academy 16-19 converter",
    "46": "Academy 16 to 19 sponsor led",
    "47": "Children's centre",
    "48": "Children's centre linked site",
    "49": "Online provider",
    "56": "Institution funded by other government department",
    "57": "Academy secure 16 to 19",
}

NOT_SCHOOLS = frozenset({"29", "47", "48"})
"""Types that are in the register and can be found, but cannot register with us."""

WELSH = "30"
"""The type of schools in Wales."""


def status_rank(status: str) -> int:
    """0 open, 1 proposed to open, 2 closed or unknown."""
    return 0 if status in OPEN_STATUSES else 1 if status == PROPOSED else 2
