"""Passwords of twelve characters or more that very many people use, and runs of keys.

Published lists of leaked passwords hold few that are this long, and those few are made in a handful of
ways: a favourite word with digits behind it, twice over, or two together, or a walk across the keyboard.
The list is therefore written as the ways and the words it is made from. Both were put together for this project,
by hand, from what such lists are known to have in common; nothing was copied, so there is no licence but ours.
"""

# ruff: noqa: SIM905  the words read better as prose

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

SHORTEST_RUN = 4
"""Keys in a row that count as a run."""

FAVOURITES = (
    "password passw0rd letmein welcome iloveyou football baseball basketball superman batman spiderman pokemon "
    "princess sunshine monkey dragon master shadow michael jessica charlie charlotte jordan liverpool arsenal "
    "chelsea manchester manutd everton tottenham rangers celtic england scotland ireland wales london school "
    "teacher headteacher student pupil academy primary secondary college university office admin administrator "
    "secretary bursar reception changeme secret default system computer internet windows microsoft google "
    "facebook youtube samsung apple android minecraft fortnite summer winter spring autumn january february "
    "march april june july august september october november december monday tuesday wednesday thursday friday "
    "saturday sunday christmas birthday chocolate butterfly rainbow unicorn angel family forever freedom "
    "friends happy lovely flower purple orange yellow banana cookie cheese pepper ginger tigger hello trustno1 "
    "starwars harrypotter hogwarts gandalf matrix phoenix diamond silver golden thunder killer hunter ranger "
    "soccer hockey tennis cricket rugby jesus heaven blessed whatever nothing something qwerty qwertyuiop asdfgh "
    "asdfghjkl zxcvbn zxcvbnm abc abcdef abcdefg abc123 qwerty123 1q2w3e4r 1qaz2wsx zaq12wsx qazwsx 123qwe daniel "
    "thomas matthew andrew robert william george oliver harry jack sophie emily olivia amelia grace hannah "
    "rebecca katie lauren ashley nicole amanda michelle jennifer alexander christopher elizabeth victoria"
).split()
"""Words that lists of leaked passwords are full of, and those that a school's office thinks of first."""

ENDINGS = (
    "1 12 123 1234 12345 123456 1234567 12345678 123456789 1234567890 0 00 01 007 11 111 1111 21 22 69 77 88 99 100 "
    "123123 321 4321 54321 654321 987654321 000 0000 2000 2010 2012 2015 2016 2017 2018 2019 2020 2021 2022 2023 "
    "2024 2025 2026 2027 ! !! !!! 1! 12! 123! 1234! 12345! @123 @1234 #1 #123 $ * ? a abc xyz qwerty love me you"
).split()

PHRASES = (
    "iloveyouforever iloveyousomuch iloveyoubaby iloveyou2much ilovemyself ilovemyfamily ilovemyschool ilovemydog "
    "ilovemycat thisismypassword mypasswordis mynewpassword newpassword1 oldpassword passwordpassword letmeinplease "
    "pleaseletmein openthedoor opensesame123 letmeinnow changemenow changethis changeme123 correcthorsebatterystaple "
    "correct-horse-battery-staple tobeornottobe maytheforcebewithyou maytheforce winteriscoming livelaughlove "
    "youllneverwalkalone cometogether letitbeletitbe hakunamatata supercalifragilisticexpialidocious onceuponatime "
    "happybirthday merrychristmas goodmorning1 goodmorning123 welcomehome1 welcometoschool schoolpassword "
    "teacherpassword adminpassword administrator1 administrator123 systemadmin123 rootpassword userpassword "
    "temporarypassword temppassword guestpassword defaultpassword secretpassword supersecret supersecret123 "
    "topsecret123 nopassword123 forgotpassword idontknow123 idontremember whatever1234 doyouloveme ihateyou1234 "
    "ihatepasswords fuckyoufuckyou motherfucker thequickbrownfox thequickbrown manchesterunited manchestercity "
    "liverpoolfc liverpoolfc1 tottenhamhotspur newcastleunited leedsunited nottinghamforest astonvilla1 "
    "westhamunited crystalpalace gloryglorymanutd unitedkingdom greatbritain onedirection justinbieber "
    "michaeljackson cristianoronaldo lionelmessi callofduty123 grandtheftauto leagueoflegends assassinscreed "
    "harrypotter1 harrypotter123 starwars1234 1q2w3e4r5t6y 1q2w3e4r5t6y7u8i 1qaz2wsx3edc 1qaz2wsx3edc4rfv qazwsxedcrfv "
    "qwertyuiopasdfghjkl qwertyuiopasdfghjklzxcvbnm q1w2e3r4t5y6 q1w2e3r4t5y6u7i8 zaq12wsxcde3 !qaz2wsx3edc "
    "zxcvbnmasdfghjkl asdfghjklqwertyuiop qweasdzxc123 qweasdzxcqweasdzxc 123qweasdzxc 123456qwerty qwerty123456 "
    "a1b2c3d4e5f6 abc123abc123 abcd1234abcd 123abc123abc aaaabbbbcccc 112233445566 111222333444 121212121212 "
    "123123123123 123456123456 123321123321 102030405060 147258369147 159357159357 741852963741 987654321987 "
    "012345678910 010203040506 101112131415 246813579024 314159265358 789456123789 999888777666"
).split()

_DISGUISES = str.maketrans("01345789@$!|+€", "oieastbgasiite")

_ROWS = (
    "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "qazwsxedcrfvtgbyhnujmikolp", "1q2w3e4r5t6y7u8i9o0p",
    "qawsedrftgyhujikolp", '!"£$%^&*()', "!@#$%^&*()",
)  # fmt: skip


def undisguised(text: str) -> str:
    """`p4ssw0rd` as `password`, sign by sign, so that positions stay what they were. `text` is folded."""
    return text.translate(_DISGUISES)


def is_common(password: str) -> bool:
    """Whether it is on the list, in whatever case, with signs between its parts, and with digits or signs around it."""
    plain = password.casefold()
    bare = re.sub(r"[\s._-]", "", plain)
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", bare)
    return not listed().isdisjoint({plain, bare}) or not _undisguised().isdisjoint(
        {undisguised(bare), undisguised(core)}
    )


@cache
def listed() -> frozenset[str]:
    """Every password on the list, without capitals; twelve characters or more."""
    doubled = (word + other for word, other in product(FAVOURITES, repeat=2))
    ended = (word + end for word, end in product(FAVOURITES, ENDINGS))
    begun = (end + word for word, end in product(FAVOURITES, ENDINGS))
    twice_ended = (word + end + word + end for word, end in product(FAVOURITES, ENDINGS))
    ways = (*doubled, *ended, *begun, *twice_ended, *PHRASES)
    return frozenset(made for made in ways if len(made) >= 12)


@cache
def _undisguised() -> frozenset[str]:
    """The list and the favourites, as `undisguised` leaves them."""
    return frozenset(map(undisguised, (*listed(), *FAVOURITES)))


@cache
def _walks() -> frozenset[str]:
    """Every piece of a row, in both directions, that is as long as the shortest run."""
    both = (*_ROWS, *(row[::-1] for row in _ROWS))
    return frozenset(row[at : at + SHORTEST_RUN] for row in both for at in range(len(row) - SHORTEST_RUN + 1))


def runs(text: str) -> Iterator[range]:
    """Where in `text` keys follow one another, or one to six characters repeat. `text` is folded."""
    for at in range(len(text) - SHORTEST_RUN + 1):
        piece = text[at : at + SHORTEST_RUN]
        if piece in _walks() or len(set(piece)) == 1:
            yield range(at, at + SHORTEST_RUN)
    for found in re.finditer(r"(.{1,6}?)\1{2,}", text, re.DOTALL):
        yield range(*found.span())
