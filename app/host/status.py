"""`packshot status` and `packshot link`: looking at a running Packshot from the terminal, and getting into it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import NullPool, and_, create_engine, func, or_, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import people
from app.database import transaction
from app.errors import Refused
from app.host.listener import address_of
from app.host.state import HostState, host_state
from app.jobs import Job
from app.people import Person
from app.settings import Settings

RUNNING: Final = 0
NOT_RUNNING: Final = 3


def status(data_dir: Path) -> int:
    """Print what runs on a data folder. Returns 0; 3 when nothing does."""
    state = host_state(data_dir)
    if state is None:
        print(f"Nothing runs on {data_dir}. Start it with: packshot up --data {data_dir}")
        return NOT_RUNNING
    since = datetime.fromisoformat(state.since).astimezone()
    how = "runs" if state.is_ready else "is starting"
    print(f"Packshot {how} at {state.address} since {since:%Y-%m-%d %H:%M} (pid {state.supervisor.pid}).")
    for name, part in state.parts.items():
        print(
            f"  {name:<12} {f'runs (pid {part.pid})' if part and part.find() else 'is down; it is being started again'}"
        )
    for line in _jobs(state):
        print(f"  {line}")
    return RUNNING


def link(settings: Settings, email: str | None) -> str:
    """An address that signs a browser in once. Raises Refused when nothing runs, NotFound for an unknown e-mail."""
    state = host_state(settings.data_dir.resolve())
    url = state.database_url if state else settings.database_url
    if not url:
        raise Refused(f"Nothing runs on {settings.data_dir}. Start it first: `packshot up`")
    with transaction(create_engine(url, poolclass=NullPool)) as session:
        token = people.make_link(session, _person(session, email))
    address = settings.public_url or (state.address if state else address_of(settings.host, settings.port))
    return f"{address.rstrip('/')}/links/{token}"


def _person(session: Session, email: str | None) -> Person:
    """Whoever has this e-mail; the owner for None."""
    if email is None:
        return people.make_owner(session)
    return people.by_email(session, email)


def _jobs(state: HostState) -> list[str]:
    """How many jobs wait and run on each queue."""
    query = (
        select(Job.queue, Job.state, func.count())
        # A job that waits for its parts is on no worker.
        .where(or_(Job.state == "queued", and_(Job.state == "running", Job.lease_until.is_not(None))))
        .group_by(Job.queue, Job.state)
    )
    try:
        with transaction(create_engine(state.database_url, poolclass=NullPool)) as session:
            counts = {(queue, job_state): count for queue, job_state, count in session.execute(query)}
    except OperationalError:
        return ["The database does not answer."]
    return [
        f"{queue} jobs: {counts.get((queue, 'running'), 0)} running, {counts.get((queue, 'queued'), 0)} waiting"
        for queue in ("cpu", "gpu")
    ]
