"""Where a plain form leads, and what the page there says of what was done.

A redirect has no words, so they travel in a cookie: for a minute, for this sign-in only (its token seals it), and for
the next whole page, which takes it away. A script that asks for JSON is answered in JSON and needs none of this.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from app.settings import Settings
from app.web import security

LASTS_S: Final = 60
# A cookie has room for 4,096 bytes; of a longer sentence, with a name or a reason in it, the beginning is said.
SENTENCE_MOST: Final = 400


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was done, in words; `undo` is the address that takes it back, `follow` that of the page where it goes on,
    called `follow_word`. `back` is where the form led, and where an undo leads again."""

    sentence: str
    undo: str = ""
    follow: str = ""
    follow_word: str = ""
    back: str = ""


def lead(request: Request, address: str, said: Receipt | None = None) -> RedirectResponse:
    """On to a page of ours, which says what was done."""
    response = RedirectResponse(address, 303)
    token = request.state.token
    if said is not None and token is not None:
        settings: Settings = request.app.state.settings
        parts = asdict(said) | {"sentence": said.sentence[:SENTENCE_MOST], "back": address}
        text = base64.urlsafe_b64encode(json.dumps(parts, ensure_ascii=False).encode()).decode()
        response.set_cookie(
            _name(settings), f"{text}.{_seal(token, text)}", max_age=LASTS_S, path="/", httponly=True, samesite="lax",
            secure=settings.has_https,
        )  # fmt: skip
    return response


def said_before(request: Request) -> Receipt | None:
    """What the form that led here did; None where there is none, it is not of this sign-in, or a script reads the page,
    which has a toast of its own."""
    if request.headers.get("x-fragment") == "1":
        return None
    settings: Settings = request.app.state.settings
    token = getattr(request.state, "token", None)
    text, _, seal = request.cookies.get(_name(settings), "").partition(".")
    if not text or token is None or not hmac.compare_digest(seal.encode(), _seal(token, text).encode()):
        return None
    return Receipt(**json.loads(base64.urlsafe_b64decode(text)))


def forget(response: Response, settings: Settings) -> None:
    """It was said."""
    response.delete_cookie(_name(settings), path="/", httponly=True, samesite="lax", secure=settings.has_https)


def _name(settings: Settings) -> str:
    return f"{security.cookie_name(settings)}-said"


def _seal(token: str, text: str) -> str:
    return hmac.new(token.encode(), b"said " + text.encode(), hashlib.sha256).hexdigest()
