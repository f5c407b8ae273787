"""Change a token or another sealed text, so that it is surely another one."""


def tampered(text: str) -> str:
    """The text with another character in its middle.

    At its end, base64url has bits that mean nothing, and fixed letters in place of the last ones may be equal to them.
    """
    middle = len(text) // 2
    return f"{text[:middle]}{'B' if text[middle] == 'A' else 'A'}{text[middle + 1 :]}"
