"""One table says what each role may do: pages follow it, and the documentation for schools shows it."""

import re

import pytest

from idp.estabs import authority, people, permissions
from idp.estabs.models import Membership
from idp.estabs.permissions import ADMIN, OWNER, VIEWER, Action
from idp.foundation import clock
from idp.foundation.setting_types import ROOT
from tests import factories


def test_the_documentation_for_schools_has_the_same_table():
    text = (ROOT / "docs/schools.md").read_text("utf-8")
    section = text.partition("## What each person may do")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and not re.fullmatch(r"[|\s-]+", line)]

    assert [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines] == permissions.rights_table()


def test_a_role_has_all_rights_of_the_next():
    rights = [{action for action in Action if permissions.may(role, action)} for role in permissions.ROLES]

    assert rights[0] > rights[1] > rights[2] > set()
    assert rights[0] == set(Action)


@pytest.mark.parametrize(
    ("role", "action", "may"),
    [(OWNER, Action.MANAGE_PEOPLE, True), (ADMIN, Action.MANAGE_PEOPLE, False), (ADMIN, Action.AUTHORISE, True),
     (VIEWER, Action.AUTHORISE, False), (VIEWER, Action.SEE_SHARING, True)],
)  # fmt: skip
def test_an_act_without_permission_is_refused_naming_the_roles_that_may(transaction, role, action, may):
    with transaction():
        member = factories.an_administrator(role=role).memberships[0]
        if may:
            authority.check_and_lock(member, action)
            return
        with pytest.raises(authority.NotPermitted) as refused:
            authority.check_and_lock(member, action)
        assert permissions.who(action) in refused.value.message


@pytest.mark.parametrize(
    ("action", "roles"),
    [(Action.MANAGE_PEOPLE, "an owner"), (Action.AUTHORISE, "an owner or an administrator"),
     (Action.SEE_SHARING, "an owner or an administrator or a viewer")],
)  # fmt: skip
def test_a_sentence_names_the_roles_that_may(action, roles):
    assert permissions.who(action) == roles


def test_a_removed_person_and_one_of_a_suspended_school_may_do_nothing(transaction):
    with transaction() as session:
        member = factories.an_administrator().memberships[0]
        member.removed_at = clock.now()
        with pytest.raises(authority.NotPermitted):
            authority.check(member, Action.SEE_SHARING)
        other = factories.an_administrator(factories.an_estab(state="suspended")).memberships[0]
        with pytest.raises(authority.SchoolCannotAct):
            authority.check(session.merge(other), Action.SEE_SHARING)


def test_notices_go_to_those_whose_role_includes_them(transaction):
    with transaction() as session:
        owner = factories.an_administrator()
        estab = owner.memberships[0].estab
        admin = factories.an_administrator(estab, role=ADMIN, username="an-admin")
        factories.an_administrator(estab, role=VIEWER, username="a-viewer")
        session.flush()

        assert people.who_may(estab.id, Action.RECEIVE_SHARING_NOTICES) == [owner]
        assert people.who_may(estab.id, Action.AUTHORISE) == [owner, admin]
        assert [member.role for member in people.list_for_estab(estab.id)] == [OWNER, ADMIN, VIEWER]
        assert [member.is_owner for member in session.query(Membership).order_by(Membership.role)] == [
            False, True, False,
        ]  # fmt: skip
