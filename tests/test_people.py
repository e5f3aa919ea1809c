"""People, sign-ins and one-time links, below the web."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import argon2
import pytest
from argon2 import extract_parameters
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from app import people
from app.database import transaction, utc_now
from app.errors import NotFound, Refused
from app.people import Person, SignIn, SignInAttempt, SignInFailure
from tests import cast

PROJECT = Path(__file__).resolve().parent.parent
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


def test_passwords_cost_guessers_as_much_as_is_recommended() -> None:
    """In a Python of its own: the other tests hash at a lower cost."""
    script = "from app import people; print(people._hasher.hash('four words make one'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    cost = extract_parameters(done.stdout.strip())
    assert cost.type is argon2.Type.ID
    assert (cost.memory_cost, cost.time_cost, cost.parallelism) == (65_536, 3, 4), "RFC 9106, where memory is scarce"


@pytest.mark.parametrize("password", ["", "short", "nine char", "x" * 1001])
def test_weak_password_is_refused(session: Session, password: str) -> None:
    with pytest.raises(Refused):
        people.set_password(session, cast.person(session).id, password)


def test_person_without_a_password_cannot_sign_in_by_one(session: Session) -> None:
    ana = cast.person(session)
    assert isinstance(people.sign_in(session, ana.email, ""), SignInFailure)


def test_right_password_clears_the_count(session: Session) -> None:
    ana = cast.person(session)
    people.set_password(session, ana.id, PASSWORD)
    for _ in range(people.GUESSES - 1):
        people.sign_in(session, ana.email, "a wrong guess")
    assert people.sign_in(session, ana.email, PASSWORD) is ana
    assert isinstance(people.sign_in(session, ana.email, "a wrong guess"), SignInFailure)
    assert people.sign_in(session, ana.email, PASSWORD) is ana


def test_waiting_ends_when_the_oldest_guess_is_old_enough(session: Session) -> None:
    ana = cast.person(session)
    people.set_password(session, ana.id, PASSWORD)
    for age_min in (14, 10, 8, 4, 2):
        session.add(SignInAttempt(email=ana.email, at=utc_now() - timedelta(minutes=age_min)))
    session.flush()
    failure = people.sign_in(session, ana.email, PASSWORD)
    assert isinstance(failure, SignInFailure) and failure.has_to_wait
    assert "Wait 1 minute," in failure.sentence
    session.execute(update(SignInAttempt).values(at=SignInAttempt.at - timedelta(minutes=2)))
    assert people.sign_in(session, ana.email, PASSWORD) is ana


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
        session.execute(delete(SignInAttempt).where(SignInAttempt.email == someone.email))
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


def test_burst_of_guesses_does_not_outrun_the_count(engine: Engine, committed: Person) -> None:
    def guess(_: int) -> bool:
        with transaction(engine) as session:
            answer = people.sign_in(session, committed.email, "a wrong guess")
            return isinstance(answer, SignInFailure) and answer.has_to_wait

    with ThreadPoolExecutor(4) as pool:
        waits = list(pool.map(guess, range(8)))
    assert waits.count(False) == people.GUESSES
