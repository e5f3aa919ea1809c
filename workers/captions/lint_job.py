"""The body of `captions.lint`: what the captions of a catalog are better without."""

from __future__ import annotations

from typing import Any

from app.captions import linting
from workers.celery_app import Work


def check(work: Work) -> dict[str, Any]:
    """Look at the current captions that nobody looked at as they stand, a thousand at a time.

    Raises Cancelled and GivesWay between them; what was found stays.
    """
    catalog_id, done, after = int(work.arguments["catalog_id"]), 0, 0
    with work.transaction() as session:
        lists = linting.lists(session, catalog_id)
    while True:
        with work.transaction() as session:
            some = linting.unchecked(session, catalog_id, lists.version, after)
        if not some:
            return {"captions": done}
        findings = [linting.found(each.text, lists, each.of_catalogue, each.printed) for each in some]
        with work.transaction() as session:
            linting.record(session, some, findings, lists.version)
            done, after = done + len(some), some[-1].image_id
            work.keep(session, done)
        work.go_on()
