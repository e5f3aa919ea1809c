"""The web application, put together. Start it through `packshot up`, or hand `create_app(Settings())` to a server."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context
from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.responses import Response
from starlette.templating import Jinja2Templates
from starlette.types import Scope

from app.catalog.files import Shape
from app.catalog.tables import Image
from app.database import engine_for
from app.people import at_least
from app.people import may_act_for as may
from app.selection.browse import Tile
from app.selection.columns.memory import kept_catalogs
from app.settings import PROJECT, Settings
from app.storage import Storage
from app.web import access, errors, formats, middleware, pages, security
from app.web.routes import (
    audit,
    caption_files,
    captions,
    catalogs,
    checks,
    compare,
    comparing,
    comparisons,
    corrections,
    cycle,
    datasets,
    decisions,
    desk,
    duplicates,
    exports,
    filling,
    guests,
    health,
    home,
    images,
    intakes,
    jobs,
    keys,
    labels,
    launch,
    maps,
    mends,
    models,
    naming,
    notes,
    operations,
    people,
    profiles,
    queues,
    reads,
    refusals,
    removal,
    reports,
    rewording,
    rules,
    runs,
    samples,
    sign_in,
    suites,
    tiles,
    uploads,
    verdicts,
    views,
    votes,
)
from app.web.views import own_keys as own_keys_view
from app.web.views.own_keys import KeyRow

STATIC: Final = Path(__file__).parent / "static"
TEMPLATES: Final = PROJECT / "templates"
# Larger bodies are refused before they are read; a route that takes uploads says so itself with `max_body_size`.
MAX_BODY_BYTES: Final = 1 << 20
# Requests in hand at once; others wait. With forty, the usual number, a crowd's threads fought for the interpreter, and
# each decision took twice as long.
THREADS: Final = 10

# Templates whose macros make up `ui`.
MACROS: Final = ("icons.html", "components.html", "marks.html", "fields.html", "shell.html")

ROUTERS: Final = (
    home.router,
    sign_in.router,
    people.router,
    audit.router,
    removal.router,
    cycle.router,
    jobs.router,
    catalogs.router,
    views.router,
    tiles.router,
    maps.router,
    mends.router,
    notes.router,
    intakes.router,
    uploads.router,
    refusals.router,
    naming.router,
    labels.router,
    corrections.router,
    images.router,
    decisions.router,
    operations.router,
    rules.router,
    duplicates.router,
    desk.router,
    keys.router,
    queues.router,
    health.router,
    captions.router,
    caption_files.router,
    comparisons.router,
    rewording.router,
    filling.router,
    datasets.router,
    exports.router,
    launch.router,
    comparing.router,
    runs.router,
    compare.router,
    suites.router,
    checks.router,
    samples.router,  # behind others, for its formats are the last word of an address
    profiles.router,
    models.router,
    votes.router,
    guests.router,
    reports.router,
    reads.router,
    verdicts.router,
)


def create_app(settings: Settings) -> FastAPI:
    """The app on the database of `settings`. Raises ValueError when they name none."""
    if settings.database_url is None:
        raise ValueError("create_app needs a database_url; `packshot up` starts the embedded server and sets it.")
    app = FastAPI(
        title="Packshot",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_few_threads,
        dependencies=[Depends(security.check_token), Depends(access.admit)],
    )
    engine = engine_for(settings.database_url)
    app.state.settings = settings
    app.state.engine = engine
    kept_catalogs(engine).most_bytes = settings.catalog_memory_mb << 20
    app.state.sessions = lambda: Session(engine, expire_on_commit=False)
    app.state.redis_url = settings.redis_url
    app.state.storage = Storage(settings.data_dir, settings.disk_reserve_bytes)
    digest = digest_of(STATIC)
    app.state.templates = templates(digest)
    for router in ROUTERS:
        # Not a limit of the whole app: its bare answers would pass by the middleware, which puts them into words.
        app.include_router(router, max_body_size=MAX_BODY_BYTES)
    app.mount(f"/static/{digest}", Immutable(directory=STATIC), name="static")
    errors.install(app)
    app.add_middleware(middleware.AccessControl)
    app.state.places = pages.places_of(app)
    return app


@asynccontextmanager
async def _few_threads(_: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


class Immutable(StaticFiles):
    """Files whose address changes with their content, so that browsers never ask again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, to be kept for a year."""
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def digest_of(folder: Path) -> str:
    """One short hash of a whole tree, so that modules can import each other by relative address."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(folder)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=2)
def templates(digest: str) -> Jinja2Templates:
    """The templates with what all of them see: `ui` (the macros), `static(path)`, `csrf_field()`,
    `may_act_for(person_id)`, `allows(route)` and the formats."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(formats.FILTERS)

    def static(path: str) -> str:
        return f"/static/{digest}/{path}"

    def src(photo: Image | Tile, shape: Shape) -> str:
        """The address of what a photo shows now. Mended, it is another one, for browsers keep what an address gave."""
        return f"/images/{photo.id}/{shape}" + (f"?m={photo.mend_id}" if photo.mend_id is not None else "")

    @pass_context
    def csrf_field(context: Context) -> Markup:
        return Markup('<input type="hidden" name="csrf" value="{}">').format(context["csrf"])

    @pass_context
    def may_act_for(context: Context, asked_by_id: int | None) -> bool:
        # A viewer acts for nobody, not even for who they were before.
        return at_least(context["visitor"], "annotator") and may(context["visitor"], asked_by_id)

    @pass_context
    def allows(context: Context, route: str) -> bool:
        return access.allows(context["visitor"], route)

    @pass_context
    def key_rows(context: Context) -> list[KeyRow]:
        return own_keys_view.rows(context["visitor"])

    @pass_context
    def key_meanings(context: Context) -> str:
        return own_keys_view.meanings(context["visitor"])

    # The macros use each other through `ui`, so it has to be there before they are.
    ui = SimpleNamespace()
    known: dict[str, Any] = {
        "static": static,
        "src": src,
        "csrf_field": csrf_field,
        "ui": ui,
        "may_act_for": may_act_for,
        "allows": allows,
        "key_rows": key_rows,
        "key_meanings": key_meanings,
    }
    environment.globals.update(known)
    for name in MACROS:
        macros = vars(environment.get_template(name).module)
        vars(ui).update({key: macro for key, macro in macros.items() if not key.startswith("_")})
    return Jinja2Templates(env=environment)
