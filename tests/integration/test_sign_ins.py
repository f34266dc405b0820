"""Which operator somebody is who signs in, on both databases."""

from __future__ import annotations

import pytest

from pipelines.decisions.audit import verify
from pipelines.decisions.roles import Operator, set_operator
from pipelines.decisions.sign_ins import SignIn, find_by_sign_in, link, list_sign_ins, unlink
from pipelines.errors import DecisionError, NotPermittedError
from pipelines.stores.operational import OperationalStore

PAM = SignIn("https://id.example.com", "1001", "pam", "pam@example.com")


@pytest.fixture
def shop(store: OperationalStore) -> OperationalStore:
    """A store with an admin, a planner and a viewer."""
    for actor, role in (("ada", "admin"), ("pam", "planner"), ("vic", "viewer")):
        set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]
    return store


def test_an_account_is_an_operator_by_issuer_and_subject_together(shop: OperationalStore) -> None:
    link(shop, PAM, by="ada")

    found = find_by_sign_in(shop, PAM.issuer, PAM.subject)

    assert (found and found.actor, found and found.role) == ("pam", "planner")
    assert find_by_sign_in(shop, "https://elsewhere.example.com", PAM.subject) is None
    assert find_by_sign_in(shop, PAM.issuer, "10010") is None
    assert find_by_sign_in(shop, PAM.issuer, "pam@example.com") is None


def test_a_role_that_is_taken_away_is_gone_at_the_next_look(shop: OperationalStore) -> None:
    link(shop, PAM, by="ada")
    set_operator(shop, Operator("pam", "viewer"), by="ada")

    found = find_by_sign_in(shop, PAM.issuer, PAM.subject)

    assert found is not None
    assert found.role == "viewer"


def test_an_operator_who_is_unlinked_is_nobody_and_the_log_says_who_did_it(shop: OperationalStore) -> None:
    link(shop, PAM, by="ada")

    assert unlink(shop, "pam", by="ada") == 1
    assert find_by_sign_in(shop, PAM.issuer, PAM.subject) is None
    assert list_sign_ins(shop) == []
    report = verify(shop)
    assert (report.rows_count, report.problems) == (5, ())  # three operators, one link, its end


def test_an_account_is_never_handed_from_one_operator_to_another_in_one_step(shop: OperationalStore) -> None:
    link(shop, PAM, by="ada")

    with pytest.raises(DecisionError, match="This account is 'pam' already"):
        link(shop, SignIn(PAM.issuer, PAM.subject, "ada"), by="ada")
    assert list_sign_ins(shop) == [PAM]


@pytest.mark.parametrize(
    ("wanted", "by", "error"),
    [
        (PAM, "pam", NotPermittedError), (PAM, "eve", NotPermittedError), (SignIn(PAM.issuer, "1", "eve"), "ada", DecisionError),
        (SignIn(PAM.issuer, " ", "pam"), "ada", DecisionError), (SignIn("", "1", "pam"), "ada", DecisionError),
    ],
)  # fmt: skip
def test_only_an_admin_links_only_a_named_account_to_a_known_operator(
    shop: OperationalStore, wanted: SignIn, by: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        link(shop, wanted, by=by)
    assert list_sign_ins(shop) == []


def test_only_an_admin_unlinks(shop: OperationalStore) -> None:
    link(shop, PAM, by="ada")

    with pytest.raises(NotPermittedError):
        unlink(shop, "pam", by="vic")
    assert list_sign_ins(shop) == [PAM]
