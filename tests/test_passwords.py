"""Passwords that are good enough, and what one costs whoever guesses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import argon2
import pytest
from argon2 import extract_parameters

from app import passwords
from app.errors import Refused

PROJECT = Path(__file__).resolve().parent.parent


def test_passwords_cost_guessers_as_much_as_is_recommended() -> None:
    """In a Python of its own: the other tests hash at a lower cost."""
    script = "from app import passwords; print(passwords.hashed('four words make one'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    cost = extract_parameters(done.stdout.strip())
    assert cost.type is argon2.Type.ID
    assert (cost.memory_cost, cost.time_cost, cost.parallelism) == (65_536, 3, 4), "RFC 9106, where memory is scarce"


@pytest.mark.parametrize(
    "password",
    ["password123", "Password123!", "qwertyuiop", "1234567890", "iloveyou123", "sunshine2020", "aaaaaaaaaaaaa",
     "P@ssw0rd1234", "Packshot2026", "Anastasia.Kos", "ana.kos@example.org", "letmein12345", "qwerty123456"],
)  # fmt: skip
def test_what_guessers_try_first_is_refused(password: str) -> None:
    with pytest.raises(Refused):
        passwords.check(password, ("Anastasia Kos", "ana.kos@example.org"))


@pytest.mark.parametrize(
    "password", ["four words make one", "korrekte pferde batterie", "fx8-Tq2m-pLw0", "泡茶的红色水壶放在桌上"]
)
def test_a_good_password_is_taken(password: str) -> None:
    passwords.check(password, ("Anastasia Kos", "ana.kos@example.org"))


def test_nobody_has_the_password_of_nobody() -> None:
    assert not passwords.fits(None, "four words make one")
    hashed = passwords.hashed("four words make one")
    assert passwords.fits(hashed, "four words make one")
    assert not passwords.fits(hashed, "four words make two")
