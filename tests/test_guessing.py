"""Guesses at passwords: counted by address and e-mail, and never against a browser that is known."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, update
from sqlalchemy.orm import Session

from app import guessing, passwords, people
from app.database import transaction, utc_now
from app.guessing import PasswordTry, SignInAttempt, SignInFailure
from app.people import Person
from tests import cast

PASSWORD = "four words make one"
HERE, THERE = "192.0.2.7", "198.51.100.4"


@pytest.fixture
def ana(session: Session) -> Person:
    person = cast.person(session)
    people.set_password(session, person.id, PASSWORD)
    return person


def tried(
    session: Session, email: str, password: str, address: str = HERE, browser: str | None = None
) -> Person | SignInFailure:
    """A whole try, as the web makes it in two transactions."""
    attempt = guessing.begin_try(session, email, address, browser)
    if isinstance(attempt, SignInFailure):
        return attempt
    return guessing.end_try(session, attempt, passwords.fits(attempt.password_hash, password))


def has_to_wait(outcome: Person | SignInFailure) -> bool:
    return isinstance(outcome, SignInFailure) and outcome.has_to_wait


def test_person_without_a_password_cannot_sign_in_by_one(session: Session) -> None:
    assert isinstance(tried(session, cast.person(session).email, ""), SignInFailure)


def test_right_password_clears_the_count(session: Session, ana: Person) -> None:
    for _ in range(2):
        for _ in range(guessing.GUESSES - 1):
            tried(session, ana.email, "a wrong guess")
        assert tried(session, ana.email, PASSWORD) is ana


def test_waiting_ends_when_the_oldest_guess_is_old_enough(session: Session, ana: Person) -> None:
    for age_min in (14, 10, 8, 4, 2):
        at = utc_now() - timedelta(minutes=age_min)
        session.add(SignInAttempt(email=ana.email, address=HERE, at=at))
    session.flush()
    failure = tried(session, ana.email, PASSWORD)
    assert isinstance(failure, SignInFailure) and failure.has_to_wait
    assert "Wait 1 minute," in failure.sentence
    session.execute(update(SignInAttempt).values(at=SignInAttempt.at - timedelta(minutes=2)))
    assert tried(session, ana.email, PASSWORD) is ana


def test_wrong_guesses_keep_nobody_out_elsewhere(session: Session, ana: Person) -> None:
    for _ in range(guessing.GUESSES + 1):
        outcome = tried(session, ana.email, "a wrong guess", THERE)
    assert has_to_wait(outcome)
    assert tried(session, ana.email, PASSWORD, HERE) is ana


@pytest.mark.parametrize("networks", [1, 30])
def test_a_browser_that_is_known_is_never_locked_by_others(session: Session, ana: Person, networks: int) -> None:
    """By one who sits at the same address, and by a crowd of addresses."""
    browser = guessing.know_browser(session, ana, None)
    for number in range(guessing.GUESSES_OF_ALL + 1):
        outcome = tried(session, ana.email, "a wrong guess", f"203.0.113.{number % networks}")
    assert has_to_wait(outcome)
    assert has_to_wait(tried(session, ana.email, PASSWORD, "203.0.113.0"))
    assert tried(session, ana.email, PASSWORD, "203.0.113.0", browser) is ana


def test_a_known_browser_has_a_count_of_its_own_and_for_its_person_only(session: Session, ana: Person) -> None:
    ben = cast.person(session, "Ben")
    browser = guessing.know_browser(session, ana, None)
    for _ in range(guessing.GUESSES):
        assert not has_to_wait(tried(session, ana.email, "a wrong guess", HERE, browser))
    assert has_to_wait(tried(session, ana.email, PASSWORD, HERE, browser))
    for _ in range(guessing.GUESSES):
        tried(session, ben.email, "a wrong guess", HERE, browser)
    assert has_to_wait(tried(session, ben.email, "a wrong guess", HERE))


def test_a_browser_stays_known_when_it_signs_in_again_or_somebody_else_does(session: Session, ana: Person) -> None:
    ben = cast.person(session, "Ben")
    first = guessing.know_browser(session, ana, None)
    second = guessing.know_browser(session, ben, first)
    for number in range(guessing.GUESSES_OF_ALL):
        tried(session, ana.email, "a wrong guess", f"203.0.113.{number}")
    assert tried(session, ana.email, PASSWORD, HERE, second) is ana
    assert has_to_wait(tried(session, ana.email, PASSWORD, HERE, first)), "the token before is nobody's"


def test_many_names_from_one_address_are_one_guesser(session: Session) -> None:
    for number in range(guessing.GUESSES_OF_ADDRESS):
        assert not has_to_wait(tried(session, f"name{number}@example.org", "a wrong guess"))
    failure = tried(session, "another@example.org", "a wrong guess")
    assert isinstance(failure, SignInFailure) and failure.sentence.startswith(
        "Too many wrong passwords from this address."
    )
    assert not has_to_wait(tried(session, "another@example.org", "a wrong guess", THERE))


def test_addresses_of_one_household_are_one(session: Session) -> None:
    for number in range(guessing.GUESSES):
        tried(session, "a@example.org", "a wrong guess", f"2001:db8:1:2::{number:x}")
    assert has_to_wait(tried(session, "a@example.org", "a wrong guess", "2001:db8:1:2:ffff::1"))
    assert not has_to_wait(tried(session, "a@example.org", "a wrong guess", "2001:db8:1:3::1"))


def test_visitors_by_ipv4_are_not_one_on_a_socket_of_both_kinds(session: Session) -> None:
    for number in range(guessing.GUESSES_OF_ADDRESS):
        tried(session, f"name{number}@example.org", "a wrong guess", "::ffff:203.0.113.7")
    assert has_to_wait(tried(session, "another@example.org", "a wrong guess", "203.0.113.7"))
    assert not has_to_wait(tried(session, "another@example.org", "a wrong guess", "::ffff:203.0.113.8"))


def test_a_password_changed_while_the_old_one_was_looked_at_is_not_the_old_one(session: Session, ana: Person) -> None:
    attempt = guessing.begin_try(session, ana.email, HERE)
    assert isinstance(attempt, PasswordTry)
    people.set_password(session, ana.id, "another four words")
    assert isinstance(guessing.end_try(session, attempt, fits=True), SignInFailure)


@pytest.fixture
def email(engine: Engine) -> Iterator[str]:
    yield "race@example.org"
    with transaction(engine) as session:
        session.execute(delete(SignInAttempt).where(SignInAttempt.email == "race@example.org"))


def test_burst_of_guesses_does_not_outrun_the_count(engine: Engine, email: str) -> None:
    """All of them begin before one of them is known to be wrong."""

    def begin(_: int) -> bool:
        with transaction(engine) as session:
            return isinstance(guessing.begin_try(session, email, HERE), PasswordTry)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(begin, range(12))) == guessing.GUESSES
