"""Jobs: how far one is, and asking it to stop."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from app import jobs
from app.jobs import Job
from app.web.dependencies import CurrentPerson, Page, Read, Write

router = APIRouter()


@dataclass(frozen=True)
class JobView:
    """The fragment that shows one job."""

    job: Job


@router.get("/jobs/{job_id}")
def show(job_id: int, session: Read, page: Page) -> HTMLResponse:
    """How far a job is: a fragment that its page asks for every second."""
    job = jobs.get(session, job_id)
    return page.fragment("jobs/_job.html", JobView(job), headers={"Cache-Control": "no-store"})


@router.post("/jobs/{job_id}/cancel")
def cancel(job_id: int, session: Write, page: Page, me: CurrentPerson) -> HTMLResponse:
    """Ask a job to stop: one's own, or anybody's for an owner."""
    return page.fragment("jobs/_job.html", JobView(jobs.cancel(session, job_id, by=me)))
