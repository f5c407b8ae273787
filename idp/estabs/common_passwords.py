"""Passwords of twelve characters or more that very many people use, and runs of keys.

Published lists of leaked passwords hold few that are this long, and those few follow a handful of patterns:
a favourite word followed by digits, doubled, or joined with another word, or a run of neighbouring keys.
The list is therefore generated from words and patterns. Both were compiled for this project, by hand, from what
such lists are known to have in common; nothing was copied, so no other licence applies. Added are the
longer entries of the frequency lists of the `zxcvbn` package (MIT licence): leaked passwords, and single English words,
which are no better. docs/decisions says where they come from.
"""

# ruff: noqa: SIM905  the words read better as prose

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

MIN_LENGTH = 12
"""Minimum length in characters of a password on the list; shorter ones are refused anyway."""
MIN_RUN_LENGTH = 4
"""Keys in a row that count as a run."""

COMMON_WORDS = (
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
"""Words that are frequent in lists of leaked passwords, and words that a school's office would choose."""

COMMON_SUFFIXES = (
    "1 12 123 1234 12345 123456 1234567 12345678 123456789 1234567890 0 00 01 007 11 111 1111 21 22 69 77 88 99 100 "
    "123123 321 4321 54321 654321 987654321 000 0000 2000 2010 2012 2015 2016 2017 2018 2019 2020 2021 2022 2023 "
    "2024 2025 2026 2027 ! !! !!! 1! 12! 123! 1234! 12345! @123 @1234 #1 #123 $ * ? a abc xyz qwerty love me you"
).split()

COMMON_PHRASES = (
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

_LEETSPEAK = str.maketrans("01345789@$!|+€", "oieastbgasiite")

_KEYBOARD_ROWS = (
    "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "qazwsxedcrfvtgbyhnujmikolp", "1q2w3e4r5t6y7u8i9o0p",
    "qawsedrftgyhujikolp", '!"£$%^&*()', "!@#$%^&*()",
)  # fmt: skip


def undo_leetspeak(text: str) -> str:
    """`p4ssw0rd` as `password`, character by character, so that positions are kept. `text` is folded."""
    return text.translate(_LEETSPEAK)


def is_common(password: str) -> bool:
    """Whether the password is on the list, in any case, with separators inside and digits or signs around it."""
    lowered = password.casefold()
    letters = re.sub(r"[\s._-]", "", lowered)
    trimmed = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", letters)
    return not common_passwords().isdisjoint({lowered, letters}) or not _without_leetspeak().isdisjoint(
        {undo_leetspeak(letters), undo_leetspeak(trimmed)}
    )


@cache
def common_passwords() -> frozenset[str]:
    """Every password on the list, in lower case; twelve characters or more."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # a megabyte, which only those who choose a password need

    doubled = (word + second for word, second in product(COMMON_WORDS, repeat=2))
    suffixed = (word + end for word, end in product(COMMON_WORDS, COMMON_SUFFIXES))
    prefixed = (end + word for word, end in product(COMMON_WORDS, COMMON_SUFFIXES))
    suffixed_twice = (word + end + word + end for word, end in product(COMMON_WORDS, COMMON_SUFFIXES))
    published = (*FREQUENCY_LISTS["passwords"], *FREQUENCY_LISTS["english_wikipedia"])
    candidates = (*doubled, *suffixed, *prefixed, *suffixed_twice, *COMMON_PHRASES, *published)
    return frozenset(password for password in candidates if len(password) >= MIN_LENGTH)


@cache
def _without_leetspeak() -> frozenset[str]:
    """The list and the common words, after `undo_leetspeak`."""
    return frozenset(map(undo_leetspeak, (*common_passwords(), *COMMON_WORDS)))


@cache
def _keyboard_runs() -> frozenset[str]:
    """Every run of `MIN_RUN_LENGTH` keys in a row, in both directions."""
    rows = (*_KEYBOARD_ROWS, *(row[::-1] for row in _KEYBOARD_ROWS))
    return frozenset(
        row[start : start + MIN_RUN_LENGTH] for row in rows for start in range(len(row) - MIN_RUN_LENGTH + 1)
    )


def runs(text: str) -> Iterator[range]:
    """Where `text` has neighbouring keys, or one to six characters three times or more. `text` is folded."""
    for start in range(len(text) - MIN_RUN_LENGTH + 1):
        piece = text[start : start + MIN_RUN_LENGTH]
        if piece in _keyboard_runs() or len(set(piece)) == 1:
            yield range(start, start + MIN_RUN_LENGTH)
    for repeat in re.finditer(r"(.{1,6}?)\1{2,}", text, re.DOTALL):
        yield range(*repeat.span())
