"""Launching a run: choose, measure, start. The choices live in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.datasets import reading
from app.errors import Refused
from app.launch import devices, outlook, preflights
from app.launch.facts import FAR
from app.launch.plan import Plan
from app.launch.preflights import Wish
from app.settings import Settings
from app.training import runs
from app.training.recipe import Recipe
from app.web import launch_page, launch_words
from app.web.dependencies import Config, CurrentPerson, Files, Page, Read, Write
from app.web.launch_page import Asked

router = APIRouter()


async def sent(request: Request) -> Mapping[str, Any]:
    """The fields of the form that was sent."""
    return await request.form()


Sent = Annotated[Mapping[str, Any], Depends(sent)]


@router.get("/runs/new")
def launch(request: Request, session: Read, page: Page, config: Config, files: Files) -> Response:
    """Choose a dataset version, a base and how far to go; see what follows and what was measured."""
    asked = asked_in(request.query_params, config)
    if asked.measuring is not None:
        run = preflights.run_of(session, asked.measuring)
        if run is not None:
            return RedirectResponse(f"/runs/{run.id}", 303)
    return page("runs/launch.html", launch_page.view(session, config, files, asked))


@router.post("/preflights")
def measure(session: Write, page: Page, config: Config, files: Files, me: CurrentPerson, form: Sent) -> Response:
    """Ask for the recipe to be measured; with `start` the run follows by itself when nothing stands in its way."""
    asked, plan, wish, faults = _understood(session, config, form)
    if plan.faults or faults:
        return _again(session, page, config, files, asked, faults)
    version = reading.get(session, asked.version_id or 0).version
    known = _refuse_closed(session, config, plan, asked, None)
    follows = (wish or Wish()) if form.get("start") else None
    preflight = preflights.request_preflight(session, version, plan.recipe, me, follows, known.limits)
    return RedirectResponse(f"{asked.address()}&measuring={preflight.id}", 303)


@router.post("/runs")
def start(session: Write, page: Page, config: Config, files: Files, me: CurrentPerson, form: Sent) -> Response:
    """Ask for a run; asked twice, it is one run. Without base and steps: as the recipe has it, on the usual base."""
    asked, plan, wish, faults = _understood(session, config, form)
    if plan.faults and "steps" in plan.faults:
        raise Refused(plan.fault)
    if plan.faults or faults:
        return _again(session, page, config, files, asked, faults)
    version = reading.get(session, asked.version_id or 0).version
    device = devices.known(config.data_dir, config.worker_threads).name
    preflight = preflights.find(session, version.id, plan.recipe, device)
    known = _refuse_closed(session, config, plan, asked, wish, preflight)
    run = outlook.start(session, version, known, preflight if known.estimate else None, me)
    return RedirectResponse(f"/runs/{run.id}", 303)


def asked_in(fields: Mapping[str, Any], config: Settings) -> Asked:
    """What an address or a form asks for. Raises Refused for choices that do not exist."""
    told = {name: str(value).strip() for name, value in fields.items() if isinstance(value, str) and value.strip()}
    base = runs.named(told.get("base", config.base_model))
    known = [one.name for one in launch_page.known_bases(config)]
    if base not in known:
        raise Refused(f"{base} is not a base of this Packshot; known are {', '.join(known)}.")
    changes = {name: told[name] for name in Recipe.model_fields if name in told and name not in launch_page.NOT_KNOBS}
    if "exact" in told:
        changes["steps"] = told["exact"]
    far = told.get("far", "balanced")
    return Asked(
        _number(told.get("version_id")), base, next((one for one in FAR if one == far), "balanced"), changes,
        told.get("max_amount", ""), told.get("max_time", ""), _number(told.get("measuring")),
    )  # fmt: skip


def _understood(
    session: Session, config: Settings, form: Mapping[str, Any]
) -> tuple[Asked, Plan, Wish | None, dict[str, str]]:
    asked = asked_in(form, config)
    wish, faults = launch_words.wish_of(asked.time, asked.money)
    return asked, launch_page.planned_for(session, config, asked), wish, faults


def _refuse_closed(
    session: Session, config: Settings, plan: Plan, asked: Asked, wish: Wish | None, preflight: Any = None
) -> outlook.Outlook:
    """The outlook of a run. Raises Refused where the gate is closed."""
    version = reading.get(session, asked.version_id or 0).version
    known = outlook.outlook(session, config, version, plan.recipe, None, preflight, None, wish)
    if not known.is_open:
        raise Refused(known.reason)
    return known


def _again(
    session: Session, page: Page, config: Settings, files: Files, asked: Asked, faults: Mapping[str, str]
) -> HTMLResponse:
    """The page as it was filled in, with what is wrong."""
    return page("runs/launch.html", launch_page.view(session, config, files, replace(asked), faults), status=422)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
