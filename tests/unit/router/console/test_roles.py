"""Who may do what: four roles, each within departments and schools."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config._console import RoleName
from router.console.roles import Action, Role, Viewer
from router.store.scope import EVERYTHING, Scope
from router.user_commands import ROLES

IDS = st.sampled_from(["buses", "meals", "office"])
SCHOOLS = st.sampled_from(["lincoln", "parks", ""])
SETS = st.none() | st.frozensets(IDS)
OF_ALL = (Action.MODELS, Action.CHANNELS, Action.SETTINGS, Action.USERS, Action.ACCESS_LOG)


def viewer(role, scope=EVERYTHING):
    """Return somebody."""
    return Viewer(account_id=1, email="sam@maple.example", name="", role=role, scope=scope)


def test_roles_have_the_same_names_everywhere():
    """The configuration, the commands and the pages know the same four."""
    assert [*Role] == list(ROLES) == list(get_args(RoleName))


@pytest.mark.parametrize("action", Action)
def test_each_role_may_all_that_the_one_before_may(action):
    """Whoever is given more loses nothing."""
    allowed = [viewer(role).may(action) for role in Role]
    assert allowed == sorted(allowed)
    assert allowed[-1]


@given(role=st.sampled_from(Role), action=st.sampled_from(Action), departments=SETS, department=IDS, school=SCHOOLS)
def test_nobody_may_anything_outside_their_departments(role, action, departments, department, school):
    """A role says what, a scope says where, and both must."""
    who = viewer(role, Scope(departments))
    if who.may(action, department, school):
        assert departments is None or department in departments
        assert viewer(role).may(action)


@given(departments=st.frozensets(IDS), role=st.sampled_from(Role))
def test_what_is_about_the_whole_district_is_for_those_who_see_all_of_it(departments, role):
    """An administrator of some departments changes no users and reads no log about others."""
    assert not any(viewer(role, Scope(departments)).may(action) for action in OF_ALL)
    assert not any(viewer(role, Scope(None, frozenset({"lincoln"}))).may(action) for action in OF_ALL)


def test_what_is_with_nobody_yet_is_seen_by_those_who_see_all_departments():
    """A message without a decision is in no department's list."""
    assert viewer(Role.VIEWER).may(Action.SEE, "")
    assert not viewer(Role.VIEWER, Scope(frozenset({"buses"}))).may(Action.SEE, "")
