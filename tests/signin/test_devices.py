"""Names of browsers and systems for people, made from the `User-Agent`."""

import pytest

from idp.signin import devices

CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (CHROME.format("Windows NT 10.0; Win64; x64"), "Chrome on Windows"),
        (CHROME.format("Windows NT 10.0; Win64; x64") + " Edg/141.0.0.0", "Edge on Windows"),
        (CHROME.format("X11; CrOS x86_64 14541.0.0"), "Chrome on Chromebook"),
        (CHROME.format("Linux; Android 10; K"), "Chrome on Android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1",
            "Safari on iPhone",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/18 Safari/605", "Safari on Mac"),
        ("curl/8.5", "A browser on an unknown system"),
        ("", "A browser on an unknown system"),
        ("<script>Firefox/1</script>", "A browser on an unknown system"),
        ("Mozilla/5.0 (compatible; Our-Bank/1.0; +http://bank.example)", "A browser on an unknown system"),
        ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1 CriOS/126.0 Safari/604.1", "Chrome on iPad"),
    ],
)
def test_a_user_agent_is_described_as_browser_and_system(agent, words):
    assert devices.describe(agent) == words
