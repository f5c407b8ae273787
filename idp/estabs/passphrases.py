"""Generate passphrases: six random words, shown once, and accepted in any of the ways that people type them back.

People copy them from paper with spaces for the hyphens, with the capital letter that a phone puts first, or with a
space at an end. The secret is the choice of words, so `normalise` converts what was typed to the form that was hashed.
A person's own password is hashed exactly as typed: `Administrator.password_is_ours` distinguishes the two, and one hash
is compared either way.
"""

import re
import secrets
from functools import cache
from typing import Final

from xkcdpass import xkcd_password

WORD_COUNT: Final = 6
"""Of more than 7,500: 77 bits."""

_AMERICAN: Final = """
    aging aluminum anemia anemic armored armory barrette broiler broiling busboy caboose caliber catalog cesarean
    cilantro clamor cornbread cozy decimeter defense demeanor diaper dime discolor distill donut drywall dumpster
    eggplant enroll esophagus estrogen faucet favorable favorably favored favoring favorite fervor fetal fiber flavored
    flavorful flavoring freeway gotten gray grueling harbor humorless jailer kilometer labored laborer laboring
    licorice luster marvelous math mold molasses mom mortician nanometer overlabor pajamas pantyhose parlor paycheck
    pediatric plow popsicle powwow preschool pretense railroad recolor refueling remold remodeler reveler rigor
    rumor savior savor skeptic skillful smolder snowplow splendor stroller sulfate sulfide sulfite sulfur supermom
    theater tidbit trash tricolor uncolored unarmored uncheck unleveled unmolded unplowed unraveled unrivaled unsavory
    washcloth washroom yogurt
    agonize agonizing alkalize appetizer catalyze cauterize colonize customize deodorize deputize dramatize
    emphasize energize fantasize feminize finalize galvanize harmonize hypnotize idealize immunize iodize italicize
    magnetize maximize mobilize monetize nebulizer oxidize oxidizing paralyze patronize penalize privatize pulverize
    reanalyze recognize sanitizer sensitize sizable stabilize sterilize stylized subsidize theorize utilize vaporizer
    verbalize vitalize vocalize
    """
"""Words of the list that British readers spell differently, or do not use."""

_EXCLUDED_WORDS: Final = """
    arson autism autistic badass bust cannabis coma crazy diabetes diabetic disabled disorder grope hangover islamic
    lazy nicotine opium pagan paralysis racism skinny spinster stingy strangle thong unclothed underwear unhealthy zit
    """
"""Words that would be unkind or embarrassing in a passphrase for a school."""

_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015\u2212]+")
"""Spaces and hyphens, including the Unicode dashes that phones put in their place."""


def generate() -> str:
    """A passphrase of six words, chosen by the operating system's random generator. To be shown once."""
    return "-".join(secrets.choice(word_list()) for _ in range(WORD_COUNT))


@cache
def word_list() -> list[str]:
    """Plain British words of the EFF's large list: distinct, easily remembered, of 3 to 9 letters."""
    file = xkcd_password.locate_wordfile("eff-long")
    candidates: list[str] = xkcd_password.generate_wordlist(wordfile=file, min_length=3, max_length=9)
    excluded = {*_AMERICAN.split(), *_EXCLUDED_WORDS.split()}
    return [word for word in candidates if word.isalpha() and word not in excluded]


def normalise(text: str) -> str:
    """`text` in the form that `generate` gives: lower case, one hyphen between words, none at the ends."""
    return _SEPARATORS.sub("-", text).strip("-").lower()
