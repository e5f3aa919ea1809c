"""Launching a run: choose, measure, start. The choices live in the address."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.datasets import reading
from app.launch import preflights
from app.launch.preflights import RequestedLimits
from app.web.dependencies import Config, CurrentPerson, Files, Page, Read, Sent, Spender, Write
from app.web.views.launch import page as launch_page
from app.web.views.launch.form import asked_in, open_assessment, understood

router = APIRouter()


@router.get("/runs/new")
def launch(request: Request, session: Read, page: Page, config: Config, files: Files) -> Response:
    """Choose a dataset version, a base and how far to go; see what follows and what was measured."""
    asked = asked_in(request.query_params, config)
    if asked.measuring is not None:
        run = preflights.run_of(session, asked.measuring)
        if run is not None:
            return RedirectResponse(f"/runs/{run.id}", 303)
    return page("runs/launch.html", launch_page.view(session, config, files, asked))


@router.post("/runs/new")
def apply(config: Config, me: CurrentPerson, form: Sent) -> RedirectResponse:
    """What was typed, as an address: the page then shows what follows from it. Measures and starts nothing."""
    return RedirectResponse(asked_in(form, config).address(), 303)


@router.post("/preflights")
def measure(session: Write, page: Page, config: Config, files: Files, me: Spender, form: Sent) -> Response:
    """Ask for the recipe to be measured; with `start` the run follows by itself when nothing stands in its way."""
    asked, plan, requested, faults = understood(session, config, form)
    if plan.faults or faults:
        return page("runs/launch.html", launch_page.view(session, config, files, asked, faults), status=422)
    version = reading.get(session, asked.version_id or 0).version
    known = open_assessment(session, config, plan, asked)
    follows = (requested or RequestedLimits()) if form.get("start") else None
    preflight = preflights.request_preflight(session, version, plan.recipe, me, follows, known.limits)
    return RedirectResponse(f"{asked.address()}&measuring={preflight.id}", 303)
