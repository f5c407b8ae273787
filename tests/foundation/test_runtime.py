"""Values of an application are not shared with another, and each port has a function."""

from dataclasses import fields

import pytest

from idp.app import create_app
from idp.foundation import runtime
from idp.foundation.ports import Ports
from idp.foundation.runtime import PerApplication
from idp.foundation.setting_types import ROOT


def test_two_applications_share_no_value(app, settings):
    cache = PerApplication[dict[str, int]](dict)
    other = create_app(settings)
    cache.for_app(app)["key"] = 1
    assert cache.for_app(app) == {"key": 1}
    assert cache.for_app(other) == {}
    with app.app_context():
        assert cache.get() is cache.for_app(app)


def test_reading_a_value_that_was_not_set_raises_lookup_error(app):
    never_set = PerApplication[str]()
    with pytest.raises(LookupError, match="configure"):
        never_set.for_app(app)
    never_set.set(app, "here")
    assert never_set.for_app(app) == "here"


@pytest.mark.parametrize("port", [field.name for field in fields(Ports)])
def test_every_port_is_called_somewhere(port):
    sources = [path.read_text("utf-8") for path in (ROOT / "idp").rglob("*.py")]
    assert any(f"runtime.ports().{port}" in text for text in sources)


def test_the_ports_of_an_application_are_those_of_the_composition_root(app):
    from idp.app import PORTS

    assert runtime.for_app(app).ports is PORTS
