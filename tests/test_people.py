"""People, sign-ins and one-time links, below the web."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session

from app import jobs, people
from app.database import transaction, utc_now
from app.errors import NotAllowed, NotFound, Refused
from app.host.status import link
from app.host.team import Deed, team
from app.people import Person, SignIn
from app.settings import Settings
from tests import cast

PASSWORD = "four words make one"


def test_owner_is_made_once(session: Session) -> None:
    first = people.make_owner(session)
    assert first.role == "owner"
    assert people.make_owner(session).id == first.id


def test_password_is_not_kept(session: Session) -> None:
    ana = cast.person(session)
    people.set_password(session, ana.id, PASSWORD)
    session.refresh(ana)
    assert ana.password_hash is not None and ana.password_hash.startswith("$argon2id$")
    assert PASSWORD not in ana.password_hash


@pytest.mark.parametrize("password", ["", "short", "nine char", "x" * 1001])
def test_weak_password_is_refused(session: Session, password: str) -> None:
    with pytest.raises(Refused):
        people.set_password(session, cast.person(session).id, password)


def test_new_link_ends_the_one_before(session: Session) -> None:
    ana = cast.person(session)
    first = people.make_link(session, ana)
    second = people.make_link(session, ana)
    with pytest.raises(NotFound):
        people.sign_in_by_link(session, first)
    assert people.sign_in_by_link(session, second) is ana


def test_sign_ins_that_ran_out_are_forgotten(session: Session) -> None:
    ana = cast.person(session)
    token = people.begin_session(session, ana, now=utc_now() - people.SIGN_IN_LASTS - timedelta(seconds=1))
    assert people.signed_in(session, token) is None
    people.begin_session(session, ana)
    assert session.scalar(select(func.count()).select_from(SignIn).where(SignIn.person_id == ana.id)) == 1


@pytest.mark.parametrize("email", ["", "ana", "@", "ana@", "@x", "a b@x.org", "a@b@c", "x" * 250 + "@x.org"])
def test_what_is_no_email_is_refused(session: Session, email: str) -> None:
    with pytest.raises(Refused):
        people.add(session, cast.person(session, role="owner"), "Mei", email)


@pytest.fixture
def committed(engine: Engine) -> Iterator[Person]:
    """Somebody whom every connection sees; gone after the test."""
    with transaction(engine) as session:
        someone = cast.person(session, "Race")
    yield someone
    with transaction(engine) as session:
        session.execute(delete(Person).where(Person.id == someone.id))


def test_of_two_browsers_one_gets_in_by_a_link(engine: Engine, committed: Person) -> None:
    with transaction(engine) as session:
        token = people.make_link(session, committed)

    def use(_: int) -> bool:
        try:
            with transaction(engine) as session:
                people.sign_in_by_link(session, token)
        except NotFound:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(use, range(4))) == 1


def test_a_change_of_password_ends_every_other_browser_and_link(session: Session) -> None:
    ana = cast.person(session)
    here, there = people.begin_session(session, ana), people.begin_session(session, ana)
    link = people.make_link(session, ana)
    people.keep_password(session, ana, "a hash", keep_token=here)
    assert people.signed_in(session, here) is not None
    assert people.signed_in(session, there) is None
    with pytest.raises(NotFound):
        people.person_of_link(session, link)


def test_a_password_set_by_a_link_ends_every_browser_that_was_signed_in(session: Session) -> None:
    ana = cast.person(session)
    stolen = people.begin_session(session, ana)
    people.sign_in_by_link(session, people.make_link(session, ana), "a hash")
    assert people.signed_in(session, stolen) is None


def test_a_browser_without_requests_is_signed_out(session: Session) -> None:
    ana = cast.person(session)
    token = people.begin_session(session, ana, now=utc_now() - timedelta(hours=3))
    assert people.signed_in(session, token, idle=timedelta(hours=2)) is None
    assert people.signed_in(session, token, idle=timedelta(hours=4)) is not None
    people.note_seen(session, token)
    session.expire_all()
    assert people.signed_in(session, token, idle=timedelta(hours=2)) is not None


def test_who_is_disabled_has_no_way_in(session: Session) -> None:
    """Neither by what they had, nor by what came to be at the same moment, nor by what is asked for them later."""
    ana, ben = cast.person(session, "Ana", "owner"), cast.person(session, "Ben", "lead")
    before, link = people.begin_session(session, ben), people.make_link(session, ben)
    people.disable(session, ana, ben)
    since = ben.disabled_at
    people.disable(session, None, ben)
    assert (ben.disabled_at, ben.disabled_by_id) == (since, ana.id), "the first one counts"
    with pytest.raises(NotFound):
        people.sign_in_by_link(session, link)
    for by in (ana, ben, None):
        with pytest.raises(Refused, match="is disabled"):
            people.make_link(session, ben, by)
    meanwhile = people.begin_session(session, ben)
    assert people.signed_in(session, before) is None and people.signed_in(session, meanwhile) is None
    assert ben.id not in people.with_access(session)
    assert ben in people.everybody(session) and ben not in people.enabled(session)
    with pytest.raises(NotAllowed):
        people.enable(session, cast.person(session, "Lea", "lead"), ben)
    people.enable(session, ana, ben)
    assert people.signed_in(session, meanwhile) is None, "they begin anew"
    assert people.sign_in_by_link(session, people.make_link(session, ben)) is ben


def test_the_terminal_disables_and_enables(database_url: str, committed: Person, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=database_url)

    def line(deed: Deed) -> str:
        return next(line for line in team(settings, committed.email, deed) if committed.email in line)

    assert "disabled" in line("end") and "since" in line("end")
    with pytest.raises(Refused, match="is disabled"):
        link(settings, committed.email)
    assert "no access" in line("enable")
    assert "/links/" in link(settings, committed.email)


def test_the_last_owner_who_can_sign_in_is_not_disabled(session: Session) -> None:
    session.query(Person).filter(Person.role == "owner").update({"role": "annotator"})
    ana, ben = cast.person(session, "Ana", "owner"), cast.person(session, "Ben", "owner")
    people.disable(session, ana, ben)
    for act in (people.disable, people.remove):
        with pytest.raises(Refused, match="only owner"):
            act(session, None, ana)
    with pytest.raises(Refused, match="yourself"):
        people.disable(session, ana, ana)
    assert people.make_owner(session) is ana


def test_somebody_stays_an_owner(session: Session) -> None:
    """Whoever else is one, and whatever is done to them, in whatever order."""
    others = session.query(Person).filter(Person.role == "owner")
    others.update({"role": "annotator"})
    ana, ben = cast.person(session, "Ana", "owner"), cast.person(session, "Ben")
    for by in (ana, None):
        with pytest.raises(Refused, match="only owner"):
            people.set_role(session, by, ana, "annotator")
    with pytest.raises(Refused, match="only owner"):
        people.remove(session, None, ana)
    people.set_role(session, ana, ben, "owner")
    people.set_role(session, ben, ana, "annotator")
    assert (ana.role, ben.role) == ("annotator", "owner")
    with pytest.raises(NotAllowed):
        people.set_role(session, ana, ben, "annotator")


def test_a_deleted_person_has_no_name_and_what_they_did_stays(session: Session) -> None:
    owner, mei = cast.person(session, "Ana", "owner"), cast.person(session, "Mei")
    token, email = people.begin_session(session, mei), mei.email
    cycle_job = jobs.request(session, "captions.propose", {}, mei)
    people.remove(session, owner, mei)
    assert people.signed_in(session, token) is None
    assert cycle_job.requested_by_id == mei.id
    assert (mei.name, mei.password_hash) == (f"Person {mei.id} (left)", None)
    assert mei not in people.everybody(session)
    assert people.names(session, {mei.id}) == {mei.id: mei.name}
    with pytest.raises(Refused):
        people.make_link(session, mei)
    assert people.add(session, owner, "Mei", email).id != mei.id, "the e-mail is free again"
