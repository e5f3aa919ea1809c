"""Who may call which route: the least role that it takes. One table, asked before every route and by every page.

A page asks `allows("POST /runs")` before it offers something, so that what is shown and what is answered cannot differ.
Beside this, what belongs to one person is checked where it is done (`people.may_act_for`).
"""

from __future__ import annotations

import re
from typing import Final

from fastapi import Request

from app.errors import NotAllowed
from app.people import Person, Role, at_least
from app.web.security import SAFE_METHODS

# Read-only routes are for everybody on the team, but these.
_READ: Final[dict[Role, tuple[str, ...]]] = {
    "annotator": (
        "/images/{image_id}/mend", "/catalogs/{catalog_id}/replace", "/catalogs/{catalog_id}/template",
        "/catalogs/{catalog_id}/words", "/compare/{sheet_id}/vote", "/compare/{sheet_id}/usable",
        "/compare/{sheet_id}/pictures/{name}",
    ),
    "lead": (
        "/catalogs/{catalog_id}/freeze", "/compare/new", "/compare/{sheet_id}/links", "/models/new",
        "/compare/{sheet_id}/votes.csv", "/compare/{sheet_id}/answers.csv", "/runs/new", "/suites/new",
        "/suites/{suite_id}/edit",
    ),
    "owner": (
        "/audit", "/audit.csv", "/storage", "/catalogs/{catalog_id}/removal", "/datasets/{version_id}/removal",
        "/images/{image_id}/removal",
    ),
}  # fmt: skip

# Whoever annotates may change something, but for these.
_CHANGE: Final[dict[Role, tuple[str, ...]]] = {
    # Oneself, what only oneself sees, and what changes nothing.
    "viewer": (
        "/browsers/{key}/exit", "/password", "/sign-in", "/sign-out", "/sign-out/everywhere", "/links/{token}",
        "/people/{person_id}/links", "/catalogs/{catalog_id}/views", "/views/{view_id}", "/views/{view_id}/deletion",
        "/images/{image_id}/contradictions", "/captions/tokens", "/keys", "/keys/defaults",
        # Guests of a link; who is signed in is not kept from what a stranger may do.
        "/votes/{token}", "/votes/{token}/votes", "/votes/{token}/votes/undo", "/votes/{token}/usable",
        "/votes/{token}/usable/undo", "/votes/{token}/failures",
    ),
    # What the team's work rests on, or what takes a machine's time or money.
    "lead": (
        "/catalogs/{catalog_id}/assignments", "/catalogs/{catalog_id}/comparisons",
        "/comparisons/{comparison_id}/adoption", "/catalogs/{catalog_id}/queues", "/queues/{queue_id}/people",
        "/queues/{queue_id}/closing", "/catalogs/{catalog_id}/recaption", "/catalogs/{catalog_id}/embeddings",
        "/catalogs/{catalog_id}/words", "/catalogs/{catalog_id}/map", "/catalogs/{catalog_id}/naming",
        "/catalogs/{catalog_id}/naming/withdrawal",
        "/catalogs/{catalog_id}/refused/exclusions", "/catalogs/{catalog_id}/refused/retries",
        "/catalogs/{catalog_id}/labels/imports", "/catalogs/{catalog_id}/captions/imports",
        "/catalogs/{catalog_id}/labels/imports/{import_id}",
        "/catalogs/{catalog_id}/captions/imports/{import_id}", "/catalogs/{catalog_id}/label-sets",
        "/catalogs/{catalog_id}/label-sets/{set_id}", "/catalogs/{catalog_id}/rules",
        "/catalogs/{catalog_id}/duplicates", "/catalogs/{catalog_id}/duplicates/order",
        "/catalogs/{catalog_id}/duplicates/sure", "/catalogs/{catalog_id}/versions",
        "/datasets/{version_id}/verification", "/datasets/{version_id}/exports", "/exports/{export_id}/retry",
        "/exports/{export_id}/removal", "/images/{image_id}/recaption", "/intakes",
        "/intakes/{intake_id}/repetitions", "/uploads", "/uploads/{upload}/files", "/uploads/{upload}/pieces",
        "/uploads/{upload}/removal", "/compare", "/compare/new", "/compare/{sheet_id}/drawing",
        "/compare/{sheet_id}/links", "/compare/{sheet_id}/links/{link_id}/revocation", "/preflights", "/runs",
        "/runs/new", "/runs/{run_id}/drawing",
        "/runs/{run_id}/extension", "/runs/{run_id}/model", "/runs/{run_id}/resumption", "/runs/{run_id}/stop",
        "/suites", "/suites/imports", "/suites/{suite_id}", "/suites/{suite_id}/hold-out",
        "/models", "/candidates/{candidacy_id}/end", "/models/{promotion_id}/export",
        "/compare/{sheet_id}/gate",
        "/profiles/{key}", "/compare/{sheet_id}/measuring",
    ),
    "owner": (
        "/candidates/{candidacy_id}/signature", "/models/{promotion_id}/rollback",
        "/cycles", "/catalogs/{catalog_id}/removal", "/datasets/{version_id}/removal", "/images/{image_id}/removal",
        "/people", "/people/{person_id}/deletion", "/people/{person_id}/exit", "/people/{person_id}/return",
        "/people/{person_id}/role",
        "/storage/cache/removal", "/storage/exports/removal", "/storage/photos/{removed_id}/return",
    ),
}  # fmt: skip

LEAST: Final[dict[str, Role]] = {
    f"{method} {path}": role
    for method, table in (("GET", _READ), ("POST", _CHANGE))
    for role, paths in table.items()
    for path in paths
}
"""The least role of a route that differs from what its method says: "METHOD /template"."""

_MANY: Final[dict[Role, str]] = {"viewer": "viewers", "annotator": "annotators", "lead": "leads", "owner": "owners"}


def least(method: str, path: str) -> Role:
    """The least role that may call a route, by its method and its template ("/runs/{run_id}/stop")."""
    is_safe = method in SAFE_METHODS
    return LEAST.get(f"{'GET' if is_safe else method} {path}", "viewer" if is_safe else "annotator")


def allows(person: Person, route: str) -> bool:
    """Whether a person may call a route: "METHOD /template", parameters as they are declared."""
    method, _, path = route.partition(" ")
    return at_least(person, least(method, path))


async def admit(request: Request) -> None:
    """Dependency of the whole app. Raises NotAllowed for a person whose role the route does not answer.

    Strangers were turned away before, where a route is not for them.
    """
    person: Person | None = request.state.person
    route = request.scope.get("route")
    if person is None or route is None:
        return
    needed = least(request.method, re.sub(r":\w+\}", "}", route.path))
    if not at_least(person, needed):
        raise NotAllowed(f"You are {_a(person.role)} here, and this is for {_MANY[needed]}. Ask {_a(needed)}.")


def _a(role: str) -> str:
    return f"an {role}" if role[0] in "ao" else f"a {role}"
