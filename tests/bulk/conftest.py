"""A catalog, two people, and batches of two photos."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.bulk import operations
from app.catalog.tables import Catalog
from app.people import Person
from tests import cast


@pytest.fixture
def pile(session: Session) -> Catalog:
    return cast.catalog(session)


@pytest.fixture
def ana(session: Session) -> Person:
    return cast.person(session, "Ana")


@pytest.fixture
def mei(session: Session) -> Person:
    return cast.person(session, "Mei")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "BATCH", 2)
