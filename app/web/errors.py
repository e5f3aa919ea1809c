"""Refusals become answers here and nowhere else: a page, a fragment or JSON, as the request asks."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DataError, OperationalError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from app.errors import AppError, Conflict, DiskFull, NotFound, Refused, SignInNeeded, Unavailable
from app.web import pages, security

log = logging.getLogger(__name__)
Handler = Callable[[Request, Exception], Response]
_DISK_FULL: Final = "53100"  # PostgreSQL's code of the class "insufficient resources"
SENTENCES: Final = {
    405: "This address does not take that kind of request.",
    413: "This is larger than what is taken here.",
}


@dataclass(frozen=True)
class Problem:
    """What an error page shows. `code` is set where the log says more; `other` is the text that won a conflict,
    `base` the one that both came from."""

    status: int
    title: str
    sentence: str
    other: str | None = None
    code: str | None = None
    base: str | None = None


def install(app: FastAPI) -> None:
    """Make the app answer every refusal."""
    app.add_exception_handler(AppError, cast(Handler, answer))
    app.add_exception_handler(HTTPException, cast(Handler, _on_http_error))
    app.add_exception_handler(RequestValidationError, cast(Handler, _on_bad_values))
    app.add_exception_handler(DataError, _on_bad_data)
    app.add_exception_handler(OperationalError, _on_no_database)
    app.add_exception_handler(Exception, _on_crash)


def answer(request: Request, error: AppError) -> Response:
    """The answer to a refusal. Somebody who only has to sign in is led there."""
    if isinstance(error, SignInNeeded) and is_page(request):
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse("/sign-in" + (f"?next={quote(here)}" if here != "/" else ""), status_code=303)
    problem = Problem(error.status, error.title, error.sentence)
    if isinstance(error, Conflict):
        problem = replace(problem, other=error.other, base=error.base)
    return render(request, problem)


def render(request: Request, problem: Problem) -> Response:
    """The problem as the request wants it: `X-Fragment: 1`, `Accept: application/json`, or a page."""
    if request.headers.get("x-fragment") == "1":
        return pages.render(request, "errors/_error.html", {"problem": problem}, problem.status)
    if wants_json(request):
        parts = {
            "title": problem.title, "sentence": problem.sentence, "other": problem.other, "base": problem.base,
            "code": problem.code,
        }  # fmt: skip
        return JSONResponse({"error": {k: v for k, v in parts.items() if v is not None}}, problem.status)
    context = {"problem": problem, "shell": pages.shell(request, clock=None)}
    return pages.render(request, "errors/error.html", context, problem.status)


def no_database() -> Unavailable:
    """The refusal of whatever needs the database while it does not answer."""
    return Unavailable("The database does not answer. Nothing of this request was saved; try again in a moment.")


def route_of(request: Request) -> str:
    """The template of the route that a request asks for, for the log: a path may hold a sign-in link."""
    # Not the one that the framework notes: the request may have failed before it was routed.
    templates = (route.path for route in iter_route_contexts(request.app.routes) if route.path)
    path = request.url.path
    return next((template for template in templates if compile_path(template)[0].match(path)), "no route")


def too_large(request: Request) -> Response:
    """The answer to a body over its route's limit."""
    return _on_http_error(request, HTTPException(413))


def wants_json(request: Request) -> bool:
    """Whether the request asks for data rather than a page."""
    accept = request.headers.get("accept", "")
    return "text/html" not in accept and ("json" in accept or "event-stream" in accept)


def is_page(request: Request) -> bool:
    """Whether the request is a browser opening a page."""
    accept = request.headers.get("accept", "*/*")
    opens = "text/html" in accept or accept == "*/*"
    return request.method in ("GET", "HEAD") and opens and request.headers.get("x-fragment") != "1"


def _on_http_error(request: Request, error: HTTPException) -> Response:
    """Refusals of the framework: no such route, wrong method, a body too large."""
    if error.status_code == NotFound.status:
        return answer(request, NotFound("There is no page at this address."))
    title = HTTPStatus(error.status_code).phrase.capitalize()
    return render(request, Problem(error.status_code, title, SENTENCES.get(error.status_code, f"{error.detail}.")))


def _on_bad_values(request: Request, error: RequestValidationError) -> Response:
    fault = error.errors()[0]
    place = " ".join(str(part) for part in fault["loc"][1:]) or "the request"
    return answer(request, Refused(f"“{place}” cannot be read: {fault['msg'][:1].lower()}{fault['msg'][1:]}."))


def _on_bad_data(request: Request, error: Exception) -> Response:
    """A number out of the database's range, a NUL byte in a text: the request's fault, wherever it was met."""
    log.info("the database refused a value: %s", error)
    return answer(request, Refused("One of the values is not something that can be kept: too large, or not text."))


def _on_no_database(request: Request, error: Exception) -> Response:
    """The database went away, or what was asked took longer than it allows."""
    if isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) == _DISK_FULL:
        log.error("the database's disk is full at %s %s", request.method, route_of(request))
        return answer(
            request, DiskFull("The database's disk is full, so this was not saved. Free some space and go on.")
        )
    log.error("the database does not answer at %s %s", request.method, route_of(request), exc_info=error)
    return answer(request, no_database())


def _on_crash(request: Request, error: Exception) -> Response:
    """Anything else is a fault of ours. The framework logs the traceback after this; the code finds it."""
    code = secrets.token_hex(4)
    log.error("error %s at %s %s", code, request.method, route_of(request), exc_info=error)
    sentence = "Packshot met a fault of its own. Nothing of this request was saved; what was there before is safe."
    response = render(request, Problem(500, AppError.title, sentence, code=code))
    # This answer leaves outside of the middleware, which would have added them.
    security.add_headers(MutableHeaders(raw=response.raw_headers), request.app.state.settings)
    return response
