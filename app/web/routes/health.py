"""Whether the app answers and reaches its database: for supervisors and load balancers."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError

from app.web.dependencies import Read

router = APIRouter()


@router.get("/healthz")
def health(session: Read) -> JSONResponse:
    """200 when the database answers, 503 when it does not."""
    try:
        session.connection()
    except OperationalError:
        return JSONResponse({"status": "no database"}, 503)
    return JSONResponse({"status": "ok"})
