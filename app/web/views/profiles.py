"""The pages of profiles: all of them, and one with its rules as they are read or typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from app.errors import Refused
from app.evaluation import profile_editing, profiles
from app.evaluation.profile_editing import KeptProfile
from app.evaluation.profiles import RULES, Profile, ProfileLimit, SampleRule


@dataclass(frozen=True)
class ProfilesView:
    """All profiles."""

    profiles: list[KeptProfile]


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule of the form, as it stands or was typed. `href` leads to its source where that is a page of the web."""

    rule: SampleRule
    is_on: bool
    limit: str
    level: str
    source: str
    checked_on: str

    @property
    def href(self) -> str:
        """The address of its source; empty where it is told in words."""
        return self.source if self.source.startswith("https://") and " " not in self.source else ""


@dataclass(frozen=True)
class ProfileView:
    """One profile. `expected` is the number of the one that the form was made from."""

    kept: KeptProfile
    rows: list[RuleRow]
    name: str
    expected: int
    history: Sequence[KeptProfile]
    refusal: str = ""


def list_of(session: Session) -> ProfilesView:
    """All profiles."""
    return ProfilesView(profile_editing.current(session))


def read(session: Session, key: str) -> ProfileView:
    """One profile. Raises NotFound."""
    kept = profile_editing.get(session, key)
    rows = [_row(rule, kept.profile) for rule in RULES]
    return ProfileView(kept, rows, kept.profile.name, kept.number, profile_editing.history(session, key))


def _row(rule: SampleRule, profile: Profile) -> RuleRow:
    given = profile.rules.get(rule.name)
    if given is None:
        return RuleRow(rule, False, "", "required", profile.source, date.today().isoformat())
    limit = "" if rule.bound == "never" else f"{given.limit:g}"
    level = "required" if given.is_required else "advised"
    return RuleRow(rule, True, limit, level, given.source, given.checked_on.isoformat())


def typed(session: Session, key: str, sent: FormData, refusal: str) -> ProfileView:
    """The form as it was typed, with what is wrong with it."""
    kept = profile_editing.get(session, key)
    rows = [
        RuleRow(
            rule, f"on-{rule.name}" in sent, str(sent.get(f"limit-{rule.name}", "")),
            str(sent.get(f"level-{rule.name}", "required")), str(sent.get(f"source-{rule.name}", "")),
            str(sent.get(f"checked_on-{rule.name}", "")),
        )
        for rule in RULES
    ]  # fmt: skip
    history = profile_editing.history(session, key)
    return ProfileView(kept, rows, str(sent.get("name", "")), kept.number, history, refusal)


def asked(session: Session, key: str, sent: FormData) -> Profile:
    """The profile that a form asks for. Raises Refused for a limit or a day that cannot be read, NotFound."""
    before = profile_editing.get(session, key).profile
    rules = {}
    for rule in RULES:
        if f"on-{rule.name}" in sent:
            rules[rule.name] = ProfileLimit(
                0.0 if rule.bound == "never" else _number(rule, str(sent.get(f"limit-{rule.name}", ""))),
                sent.get(f"level-{rule.name}") != "advised",
                " ".join(str(sent.get(f"source-{rule.name}", "")).split()),
                _day(rule, str(sent.get(f"checked_on-{rule.name}", ""))),
            )
    newest = max((given.checked_on for given in rules.values()), default=before.checked_on)
    return profiles.checked(Profile(key, str(sent.get("name", "")).strip(), rules, before.source, newest))


def expected(sent: FormData) -> int:
    """The number of the profile that the form was made from; -1, which none has, where it cannot be read."""
    number = str(sent.get("expected", ""))
    return int(number) if number.isdecimal() and len(number) < 18 else -1


def _number(rule: SampleRule, text: str) -> float:
    try:
        return float(text.replace(",", "").strip())
    except ValueError:
        raise Refused(f"The limit of “{rule.title}” is a number, as 0.85.") from None


def _day(rule: SampleRule, text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise Refused(f"“{rule.title}” needs the day on which its source was read, as 2026-11-23.") from None
