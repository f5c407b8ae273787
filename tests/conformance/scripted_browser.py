"""The suite's clients and browser, as a configuration that `tests.conformance.suite` writes describes them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from joserfc.jwk import KeySet

from tests.conformance.browser import Browser, PartnerRequest
from tests.conformance.fapi import FapiClient
from tests.conformance.relying_party import Provider, RelyingParty
from tests.conformance.suite.prepare import Credentials


@dataclass
class ScriptedBrowser:
    """Follows the visits of a configuration: runs the commands of each task whose pattern matches the current URL."""

    browser: Browser
    visits: list[dict[str, Any]]
    screenshots: list[str] = field(default_factory=list)
    """The ids of the controls that a screenshot was taken of."""

    def __post_init__(self) -> None:
        self.visits = [dict(visit) for visit in self.visits]

    def visit(self, url: str) -> PartnerRequest | None:
        """Open `url`, and do the tasks of the first visit that matches it.

        Returns the request that reached the partner, or None.
        """
        visit = next(
            visit for visit in self.visits if fnmatchcase(url, visit["match"]) and visit.get("match-limit") != 0
        )
        if "match-limit" in visit:
            visit["match-limit"] -= 1
        partner_request = self.browser.open(url)
        for task in visit["tasks"]:
            current_url = self.browser.page.url if partner_request is None else partner_request.url
            if not fnmatchcase(current_url, task["match"]):
                assert task.get("optional"), (
                    f"{task['task']}: the browser is at {current_url}: {self._text(partner_request)}"
                )
                continue
            partner_request = self._run_commands(task.get("commands", []), partner_request)
        return partner_request

    def _run_commands(self, commands: list[list[Any]], partner_request: PartnerRequest | None) -> PartnerRequest | None:
        fields: dict[str, str | None] = {}
        for verb, by, control, *arguments in commands:
            assert by == "id"
            if verb == "text":
                assert self.browser.page.has(control), control
                fields[control] = arguments[0]
            elif verb == "click":
                element = self.browser.page.soup.find(id=control)
                assert element is not None, f"no {control}: {self.browser.page.text}"
                if element.get("type") == "checkbox":
                    fields[element["name"]] = None if element.has_attr("checked") else element.get("value", "on")
                else:
                    partner_request, fields = self.browser.press(control, **fields), {}
            elif partner_request is None:  # on one of our pages; those of the suite are not tested
                assert verb == "wait"
                assert re.search(arguments[1], self.browser.page.soup.find(id=control).get_text())
                self.screenshots += [control] if len(arguments) > 2 else []
        return partner_request

    def _text(self, partner_request: PartnerRequest | None) -> str:
        return self.browser.page.text if partner_request is None else "the partner's page"


@dataclass
class Suite:
    """One configuration: its `client` and `client2` as the suite creates them, and browsers that follow its tasks."""

    configuration: dict[str, Any]
    provider: Provider
    redirect_uri: str
    new_browser: Callable[[], Browser]

    def scripted_browser(self, module: str | None = None, browser: Browser | None = None) -> ScriptedBrowser:
        """A new browser that follows the configuration for every module, or for `module`."""
        visits = self.configuration["override"][module]["browser"] if module else self.configuration["browser"]
        return ScriptedBrowser(browser or self.new_browser(), visits)

    def client(self, part: str = "client", **overrides: Any) -> RelyingParty:
        """The client in this part of the configuration."""
        values, resource = self.configuration[part], self.configuration.get("resource", {}).get("resourceUrl")
        if "jwks" not in values:
            method = "client_secret_post" if part == "client_secret_post" else "client_secret_basic"
            credentials = Credentials(values["client_id"], values["client_secret"], None)
            return RelyingParty(self.provider, credentials, self.redirect_uri, method=method, **overrides)
        (signer,) = KeySet.import_key_set(values["jwks"]).keys
        query = "?dummy1=lorem&dummy2=ipsum" if part == "client2" else ""
        return FapiClient(
            self.provider, Credentials(values["client_id"], None, None), self.redirect_uri + query, signer=signer,
            scope=values["scope"], resource=resource, **overrides,
        )  # fmt: skip
