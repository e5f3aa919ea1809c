"""People: who may sign in, their sessions, and the one-time links that sign a browser in."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, BigId, Moment, utc_now


class Person(Base):
    """Somebody who signs in. `email` is kept in lower case."""

    __tablename__ = "person"
    __table_args__ = (CheckConstraint("role in ('owner','member')", name="role"),)

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text, unique=True)
    role: Mapped[str] = mapped_column(Text, default="member")
    password_hash: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)


class SignIn(Base):
    """One signed-in browser. Only the SHA-256 of its cookie is kept."""

    __tablename__ = "sign_in"

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id, ondelete="CASCADE"), index=True)
    created_at: Mapped[Moment] = mapped_column(default=utc_now)
    expires_at: Mapped[Moment]


class SignInLink(Base):
    """A one-time address that signs a browser in; used once, then dead. Only its hash is kept."""

    __tablename__ = "sign_in_link"

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id, ondelete="CASCADE"), index=True)
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]


class SignInAttempt(Base):
    """A failed sign-in, counted to slow guessing."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[BigId]
    email: Mapped[str] = mapped_column(Text, index=True)
    at: Mapped[Moment] = mapped_column(default=utc_now)
