"""What makes a request trustworthy: a known host, our own origin, the token that forms carry; and the cookie."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders

from app import guessing, people
from app.errors import AppError, NotAllowed
from app.settings import Settings

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # "no-referrer" would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Pages show a team's work: nothing of them is kept on a shared machine.
    "Cache-Control": "no-store",
}


HSTS: Final = "max-age=31536000"
# Signed out, a browser forgets what it kept of the pages. Cookies are ended by name: one of them says that the browser
# is known, and lets nobody in.
CLEARED: Final = '"cache", "storage"'
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class UnknownHost(AppError):
    """The request names a host that is not ours: a wrong address, or a page that rebinds its DNS name to us."""

    status = 400
    title = "Unknown address"


def check_host(request: Request, settings: Settings) -> None:
    """Raises UnknownHost. An address of digits cannot be a name that was bound to us behind somebody's back."""
    given = request.headers.get("host", "")
    host = _hostname(given)
    known = {"localhost", settings.host, urlsplit(settings.public_url or "").hostname}
    if host is None or (host not in known and not _is_ip(host)):
        raise UnknownHost(
            f"Packshot does not answer to “{given[:100]}”. Open it by the address it was started with, or set "
            "PACKSHOT_PUBLIC_URL to this one."
        )


def check_origin(request: Request, settings: Settings) -> None:
    """Raises NotAllowed when a request that changes something does not come from a page of ours.

    Browsers send at least one of the two headers; both have to agree where both are there.
    """
    if request.method in SAFE_METHODS:
        return
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    own = {request.headers.get("host", ""), urlsplit(settings.public_url or "").netloc}
    is_own_origin = origin is None or _netloc(origin) in own - {""}
    is_own_site = site is None or site == "same-origin"
    if (origin is None and site is None) or not is_own_origin or not is_own_site:
        raise NotAllowed("This request did not come from a page of Packshot, so nothing was done.")


FORM_FIELDS: Final = 20_000
"""Of one form: an editor of many prompts has several for each. How long a body may be is limited elsewhere."""


async def check_token(request: Request) -> None:
    """Dependency of the whole app. Raises NotAllowed when a signed-in change lacks its page's token.

    The token is in the header X-CSRF-Token or in the form field `csrf`. Signing in has no session to bind a token to;
    the origin check stands alone there.
    """
    if request.method in SAFE_METHODS or request.state.token is None:
        return
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        field = (await request.form(max_fields=FORM_FIELDS)).get("csrf")
        given = field if isinstance(field, str) else None
    if given is None or not hmac.compare_digest(given.encode(), csrf_token(request.state.token).encode()):
        raise NotAllowed("This page is from an earlier sign-in, so nothing was done. Reload it and try again.")


def csrf_token(session_token: str) -> str:
    """The token that this sign-in's forms carry; it cannot be turned back into the cookie."""
    return hmac.new(session_token.encode(), b"csrf", hashlib.sha256).hexdigest()


def cookie_name(settings: Settings) -> str:
    """Cookies do not know ports, so the name does; over https the prefix ties it to this host."""
    return f"__Host-packshot-{settings.port}" if settings.has_https else f"packshot-{settings.port}"


def browser_cookie_name(settings: Settings) -> str:
    """The cookie by which a browser is known where somebody signed in before; it lets nobody in."""
    return f"{cookie_name(settings)}-browser"


def set_cookie(response: Response, settings: Settings, token: str, browser: str) -> None:
    """Sign the browser in, and know it again by `browser`."""
    for name, value, lasts in (
        (cookie_name(settings), token, people.SIGN_IN_LASTS),
        (browser_cookie_name(settings), browser, guessing.BROWSER_KNOWN_FOR),
    ):
        response.set_cookie(
            name, value, max_age=int(lasts.total_seconds()), path="/", httponly=True, samesite="lax",
            secure=settings.has_https,
        )  # fmt: skip


def clear_cookie(response: Response, settings: Settings) -> None:
    """Sign the browser out, and have it forget the pages it kept."""
    response.delete_cookie(cookie_name(settings), path="/", httponly=True, samesite="lax", secure=settings.has_https)
    response.headers["Clear-Site-Data"] = CLEARED


def add_headers(headers: MutableHeaders, settings: Settings) -> None:
    """The security headers of every answer; a route's own value wins."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    if settings.has_https:
        headers.setdefault("Strict-Transport-Security", HSTS)


def safe_next(address: str | None) -> str:
    """Where to go after signing in: a path of ours, or the beginning."""
    if not address or not address.startswith("/") or address[1:2] in ("/", "\\") or any(c < " " for c in address):
        return "/"
    return address


def _hostname(given: str) -> str | None:
    """The name in a Host header; None where that is none: `[`, a user, a path."""
    if not _HOST.fullmatch(given):
        return None
    try:
        return urlsplit("//" + given).hostname
    except ValueError:
        return None


def _netloc(origin: str) -> str:
    """Host and port of an Origin header; empty where it has none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc if parts.scheme in ("http", "https") else ""


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
