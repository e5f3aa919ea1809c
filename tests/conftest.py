"""Fixtures on real parts: a migrated PostgreSQL per xdist worker, and each test in a transaction that is undone."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app import passwords, people
from app.database import engine_for, migrate
from app.host import servers
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.web import security
from app.web.main import create_app
from tests import cast
from tests.emptying import empty

# Tests never reach a hub, and never take more than one core each.
os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

# Until all tests are collected, everything imported stays: torch, diffusers and transformers are a million objects, and
# looking through them for garbage is an eighth of the suite's time. They are put out of the collector's sight below.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones, in each test process: one of them at the end would leave the other process idle.

    Those of a folder stay together, for what they share: a server that has torch, for one. xdist gives each process an
    equal stretch of the list before they take tests from each other. Last of all hooks, so that a shuffle comes before.
    """
    folders: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("slow"):
            folders.setdefault(item.path.parent, []).append(item)
    firsts: list[list[pytest.Item]] = [[] for _ in range(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))]
    for folder in sorted(folders.values(), key=len, reverse=True):
        min(firsts, key=len).extend(folder)
    others = [item for item in items if not item.get_closest_marker("slow")]
    share = -(-len(items) // len(firsts))
    items.clear()
    for first in firsts:
        rest = max(0, share - len(first))
        items += [*first, *others[:rest]]
        del others[:rest]
    items += others


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database on an embedded server of this test process."""
    server = servers.postgres(tmp_path_factory.mktemp("pg"), is_durable=False)
    with servers.run(server):
        migrate(server.url)
        yield server.url


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def emptied(engine: Engine) -> Iterator[None]:
    """For tests that commit, so that other connections see their rows: what they leave is taken away."""
    yield
    empty(engine)


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session whose transaction is rolled back after the test; commits inside become savepoints."""
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            yield session
        outer.rollback()


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """Passwords are hashed as ever, at the least cost that Argon2 has; `test_passwords.py` looks at the real one."""
    (name,) = (name for name, value in vars(passwords).items() if isinstance(value, PasswordHasher))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, name, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "data")


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real product photos, with `clothing` and `grocery` in it.

    `PACKSHOT_TEST_PHOTOS`, or `shared/data` beside the project. Without it tests skip; where CI is set they fail.
    """
    named = os.environ.get("PACKSHOT_TEST_PHOTOS")
    place = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if (place / "clothing").is_dir() and (place / "grocery").is_dir():
        return place
    missing = f"no real product photos at {place}; set PACKSHOT_TEST_PHOTOS to their folder"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", database_url=database_url, redis_url="redis://127.0.0.1:1/0",
        intake_roots=(tmp_path,),
    )  # fmt: skip


ADDRESS = "http://127.0.0.1:8700"


@pytest.fixture(scope="session")
def _app(database_url: str) -> FastAPI:
    """The web app, put together once in a process: its routes are what takes time. Tests ask for `web`."""
    return create_app(Settings(database_url=database_url))


@pytest.fixture
def web(session: Session, settings: Settings, _app: FastAPI) -> Iterator[FastAPI]:
    """The web app, on the test's own transaction: each request gets a session whose commit is a savepoint of it.

    What `create_app` makes of the settings is made of this test's; routes that a test adds are its own.
    """
    before, routes = dict(vars(_app.state)["_state"]), list(_app.router.routes)
    changes = {
        "settings": settings,
        "engine": engine_for(str(settings.database_url)),
        "redis_url": settings.redis_url,
        "storage": Storage(settings.data_dir),
        "sessions": lambda: Session(
            session.get_bind(), join_transaction_mode="create_savepoint", expire_on_commit=False
        ),
    }
    assert before.keys() == {*changes, "templates", "places"}, "what else does create_app keep?"
    vars(_app.state)["_state"].update(changes)
    yield _app
    _app.router.routes[:] = routes
    vars(_app.state)["_state"].clear()
    vars(_app.state)["_state"].update(before)


@pytest.fixture
def me(session: Session) -> Person:
    """The owner who is signed in as `client`."""
    return cast.person(session, "Ana", role="owner")


@pytest.fixture
def stranger(web: FastAPI) -> TestClient:
    """A browser that nobody is signed in with. Redirects are not followed."""
    return TestClient(
        web, base_url=ADDRESS, headers={"Origin": ADDRESS}, follow_redirects=False, client=("127.0.0.1", 50000)
    )


@pytest.fixture
def client(web: FastAPI, session: Session, settings: Settings, me: Person) -> TestClient:
    """A browser with `me` signed in, whose requests carry the page's token. Redirects are not followed.

    What a test put in the database must be flushed before a request; rows that a request changed are read again with
    `session.expire_all()`.
    """
    return sign_in(web, session, settings, me)


def sign_in(web: FastAPI, session: Session, settings: Settings, person: Person) -> TestClient:
    """A browser with `person` signed in."""
    token = people.begin_session(session, person)
    return TestClient(
        web,
        base_url=ADDRESS,
        headers={"Origin": ADDRESS, "X-CSRF-Token": security.csrf_token(token)},
        cookies={security.cookie_name(settings): token},
        follow_redirects=False,
    )
