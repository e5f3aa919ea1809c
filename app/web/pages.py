"""What every page shows around its content, and the one way to render a template."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.routing import iter_route_contexts
from sqlalchemy.orm import Session
from starlette.templating import Jinja2Templates

from app.cycles import clock as cycle_clock
from app.cycles.clock import CycleClock
from app.people import Person
from app.settings import Settings
from app.web import leading, security
from app.web.leading import Receipt

THEMES: Final = ("light", "dark")


@dataclass(frozen=True)
class Place:
    """A place of the rail: its address, name and icon, the key behind G, and the paths that belong to it."""

    path: str
    name: str
    icon: str
    key: str
    belongs: re.Pattern[str]


PLACES: Final = (
    Place("/cycle", "Cycle", "cycle", "h", re.compile(r"/cycles?\b")),
    Place("/catalogs", "Catalog", "catalog", "c", re.compile(r"/(catalogs|intakes|duplicates)\b")),
    Place("/desk", "Desk", "desk", "d", re.compile(r"/(desk|images)\b")),
    Place("/datasets", "Datasets", "datasets", "s", re.compile(r"/(datasets|versions)\b")),
    Place("/runs", "Runs", "runs", "r", re.compile(r"/(runs|models|candidates)\b")),
    Place("/compare", "Compare", "compare", "m", re.compile(r"/(compare|sheets|samples|suites|profiles)\b")),
)


@dataclass(frozen=True)
class Shell:
    """Rail, top bar and head of a page. `person` and `clock` are None where there is none; so is `said`, what the form
    that led here did."""

    person: Person | None
    csrf: str
    theme: str | None
    places: tuple[Place, ...]
    here: Place | None
    clock: CycleClock | None
    path: str
    said: Receipt | None = None


@dataclass(frozen=True)
class Renderer:
    """Renders pages inside the shell, and fragments without it."""

    request: Request
    session: Session

    @property
    def settings(self) -> Settings:
        """The app's settings."""
        app_settings: Settings = self.request.app.state.settings
        return app_settings

    def __call__(
        self, template: str, context: Any = None, status: int = 200, headers: dict[str, str] | None = None
    ) -> HTMLResponse:
        """A whole page. `context` is a dataclass; the template sees its fields by name."""
        clock = cycle_clock.read(self.session, self.settings)
        said = leading.said_before(self.request)
        around = {"shell": dataclasses.replace(shell(self.request, clock), said=said)}
        response = render(self.request, template, fields_of(context) | around, status, headers)
        if said is not None:
            leading.forget(response, self.settings)
        return response

    def fragment(
        self, template: str, context: Any = None, status: int = 200, headers: dict[str, str] | None = None
    ) -> HTMLResponse:
        """A piece of a page that a script swaps in."""
        return render(self.request, template, fields_of(context), status, headers)


def shell(request: Request, clock: CycleClock | None) -> Shell:
    """What surrounds the page that this request asks for."""
    person = getattr(request.state, "person", None)
    token = getattr(request.state, "token", None)
    theme = request.cookies.get("packshot-theme")
    path = request.url.path
    places: tuple[Place, ...] = request.app.state.places
    return Shell(
        person=person,
        csrf=security.csrf_token(token) if token else "",
        theme=theme if theme in THEMES else None,
        places=places,
        here=next((place for place in places if place.belongs.match(path)), None),
        clock=clock,
        path=path,
    )


def places_of(app: FastAPI) -> tuple[Place, ...]:
    """The places whose page exists; the others are absent from the rail."""
    paths = {route.path for route in iter_route_contexts(app.routes) if "GET" in (route.methods or ())}
    return tuple(place for place in PLACES if place.path in paths)


def render(
    request: Request, template: str, context: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> HTMLResponse:
    """One template, with the csrf token within reach of `csrf_field()`, and the person of `may_act_for()`."""
    templates: Jinja2Templates = request.app.state.templates
    token = getattr(request.state, "token", None)
    person = getattr(request.state, "person", None)
    known = {"csrf": security.csrf_token(token) if token else "", "visitor": person} | context
    return templates.TemplateResponse(request, template, known, status, headers)


def fields_of(context: Any) -> dict[str, Any]:
    """A dataclass's fields by name, without copying what they hold."""
    if context is None:
        return {}
    return {field.name: getattr(context, field.name) for field in dataclasses.fields(context)}
