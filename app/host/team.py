"""`packshot people`: who is on the team, and acts on people from the terminal, where no owner has to be signed in."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import NullPool, create_engine

from app import people
from app.database import transaction
from app.errors import Refused
from app.host.state import host_state
from app.people import Role
from app.settings import Settings

Deed = Role | Literal["end", "enable", "delete"]


def team(settings: Settings, email: str | None = None, deed: Deed | None = None) -> list[str]:
    """Do what is asked, and list the team, a line for each. Raises Refused, NotFound."""
    if deed is not None and email is None:
        raise Refused("Name whom: packshot people EMAIL --owner")
    state = host_state(settings.data_dir.resolve())
    url = state.database_url if state else settings.database_url
    if not url:
        raise Refused(f"Nothing runs on {settings.data_dir}. Start it first: `packshot up`")
    with transaction(create_engine(url, poolclass=NullPool)) as session:
        person = people.by_email(session, email) if email is not None else None
        if person is not None and deed is not None:
            if deed == "end":
                people.disable(session, None, person)
            elif deed == "enable":
                people.enable(session, None, person)
            elif deed == "delete":
                people.remove(session, None, person)
            else:
                people.set_role(session, None, person, deed)
        allowed = people.with_access(session)
        lines = []
        for each in people.everybody(session):
            access: str
            access, since = each.role if each.id in allowed else "no access", ""
            if each.disabled_at is not None:
                access, since = "disabled", f", since {each.disabled_at:%Y-%m-%d}"
            lines.append(f"{each.email:<32} {access:<10} {each.name}{since}")
    return lines  # after the commit: whoever reads only some of them has done the deed all the same
