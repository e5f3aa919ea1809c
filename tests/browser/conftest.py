"""A real server and a real Chromium: the app under uvicorn on a database of its own, and a browser signed in by a link.

Without Chromium these tests are skipped and say so; under CI=true they fail instead.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from PIL import Image as Pillow
from PIL import ImageDraw
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import people
from app.captions import writing
from app.captions.tables import Caption
from app.catalog.tables import Catalog, Image, Intake, Signals
from app.database import migrate, transaction
from app.desk.queue import upcoming
from app.intake import uploads
from app.people import Person
from app.review import decisions
from app.review.tables import Decision
from app.settings import Settings
from app.storage import Storage
from app.web import security
from app.web.main import create_app
from tests import cast
from tests.emptying import empty

STARTS_WITHIN_S = 60.0


@dataclass(frozen=True)
class Site:
    """The running app: its address, its database and its files."""

    url: str
    engine: Engine
    storage: Storage
    cookie: str
    """The name of the cookie that signs a browser in."""

    def link_for(self, person: Person) -> str:
        """A one-time address that signs a browser in."""
        with transaction(self.engine) as session:
            return f"{self.url}/links/{people.make_link(session, session.get_one(Person, person.id))}"

    def photo(self, session: Session, pile: Catalog, colour: str, title: str, caption: str | None = None) -> Image:
        """A drawn product on white with its thumbnail and view on disk; the signals of `cast.image`."""
        drawn = Pillow.new("RGB", (800, 600), "white")
        ImageDraw.Draw(drawn).ellipse((250, 150, 550, 450), fill=colour)
        photo = cast.image(session, pile, title=title, caption=caption)
        photo.thumb_sha256 = self._keep(drawn.resize((256, 192)), "thumbs", ".webp")
        photo.view_sha256 = self._keep(drawn, "views", ".jpg")
        session.flush()
        return photo

    def many(self, session: Session, pile: Catalog, count: int) -> list[int]:
        """Numbers of photos that share one picture: what a long grid needs, in few statements."""
        model = self.photo(session, pile, "teal", "Model")
        intake = session.get_one(Intake, model.intake_id)
        photos = [
            Image(
                catalog_id=pile.id, intake_id=intake.id, sha256=f"{number:064x}", file_name=f"{number:04}.jpg",
                format="JPEG", size_bytes=1000, width_px=800, height_px=600, render_path=model.render_path,
                thumb_sha256=model.thumb_sha256, view_sha256=model.view_sha256, title=f"Cup {number:04}", extra={},
                category=("Cups", "Mugs", "Bowls")[number % 3],
            )
            for number in range(1, count + 1)
        ]  # fmt: skip
        session.add_all(photos)
        session.flush()
        same = {
            column.key: getattr(session.get_one(Signals, model.id), column.key) for column in Signals.__table__.columns
        }
        session.add_all([Signals(**same | {"image_id": photo.id}) for photo in photos])
        session.flush()
        return [photo.id for photo in photos]

    def _keep(self, picture: Pillow.Image, kind: str, suffix: str) -> str:
        from io import BytesIO

        data = BytesIO()
        picture.save(data, "WEBP" if suffix == ".webp" else "JPEG")
        return self.storage.put(kind, data.getvalue(), suffix)  # type: ignore[arg-type]


@contextmanager
def served(settings: Settings) -> Iterator[Site]:
    """The app under uvicorn in a thread. A second one on the same settings is the first after a restart."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + STARTS_WITHIN_S
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until, "the web app did not start"
        thread.join(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(f"http://127.0.0.1:{port}", app.state.engine, app.state.storage, security.cookie_name(settings))
    server.should_exit = True
    thread.join()
    app.state.engine.dispose()


@pytest.fixture(scope="session")
def site_settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of the running app, on a database of its own beside the one of the other tests."""
    maker = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with maker.connect() as connection:
        connection.execute(text("create database browser"))
    maker.dispose()
    url = make_url(database_url).set(database="browser").render_as_string(hide_password=False)
    migrate(url)
    return Settings(data_dir=tmp_path_factory.mktemp("site"), database_url=url, port=0, worker_threads=1)


@pytest.fixture(scope="session")
def _server(site_settings: Settings) -> Iterator[Site]:
    with served(site_settings) as site:
        yield site


@pytest.fixture
def site(_server: Site) -> Site:
    """The running app with an empty database."""
    for tries_left in reversed(range(10)):
        try:
            empty(_server.engine, numbers_begin_again=True)
            # Numbers of people begin again, and uploads go by them.
            shutil.rmtree(_server.storage.root / uploads.FOLDER, ignore_errors=True)
            break
        except OperationalError:  # a request of the test before is still being answered
            if not tries_left:
                raise
    return _server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Chromium; skipped loudly where there is none, failed where CI says there must be one."""
    path = os.environ.get("PACKSHOT_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None or not Path(path).exists():
        missing = "No Chromium: install it or name it in PACKSHOT_TEST_CHROMIUM. No page was tested in a browser."
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


Visit = Callable[[Person], Page]


@pytest.fixture
def visit(site: Site, chromium: Browser) -> Iterator[Visit]:
    """Opens a browser of its own for a person, signed in. A script error fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_for(person: Person) -> Page:
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(20_000)
        contexts.append(context)
        with transaction(site.engine) as session:
            token = people.begin_session(session, session.get_one(Person, person.id))
        context.add_cookies(
            [{"name": site.cookie, "value": token, "url": site.url, "httpOnly": True, "sameSite": "Lax"}]
        )
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield open_for
    for context in contexts:
        context.close()
    assert errors == []


@dataclass(frozen=True)
class Scene:
    """A catalog with four photos, and two people."""

    site: Site
    pile: Catalog
    photos: list[Image]
    ana: Person
    mei: Person

    def decision(self, photo_id: int) -> Decision | None:
        with transaction(self.site.engine) as session:
            return decisions.current(session, photo_id)

    def caption(self, photo_id: int) -> Caption:
        with transaction(self.site.engine) as session:
            return writing.current(session, [photo_id])[photo_id]

    def queue(self) -> list[int]:
        with transaction(self.site.engine) as session:
            return upcoming(session, self.pile.id, self.ana)


@pytest.fixture
def scene(site: Site) -> Scene:
    with transaction(site.engine) as session:
        pile = cast.catalog(session, "Autumn 2026")
        ana, mei = cast.person(session, "Ana", role="owner"), cast.person(session, "Mei")
        photos = [
            site.photo(session, pile, colour, f"{colour.capitalize()} kettle", caption=f"Red kettle number {number}.")
            for number, colour in enumerate(("red", "maroon", "tomato", "crimson"))
        ]
    return Scene(site, pile, photos, ana, mei)


def wait_for(page: Page, is_so: Callable[[], bool]) -> None:
    """Until the server has it: the page moves on before."""
    for _ in range(400):
        if is_so():
            return
        page.wait_for_timeout(25)
    raise AssertionError("it never came to pass")


def on_desk(page: Page) -> int:
    return int(page.locator("[data-photo]").get_attribute("data-photo") or 0)
