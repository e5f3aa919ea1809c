"""New versions of suites: the product suite of a catalog, what somebody edited, what came in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog
from app.datasets.tables import DatasetVersion
from app.errors import Conflict, Refused
from app.evaluation import catalog_products, hold_out, product_suite, prompt_photos, suite_files, suites
from app.evaluation.catalog_products import ProductsOf
from app.evaluation.product_suite import FilledSuite
from app.evaluation.prompt_texts import NAME_AT_MOST, is_storable
from app.evaluation.suite_files import SuiteDraft, SuiteFile
from app.evaluation.tables import Prompt, Suite
from app.people import Person
from app.training.tables import TrainingRun

USUAL_SAMPLING: Final[dict[str, Any]] = {"steps": 28, "guidance": 4.0, "width_px": 512, "height_px": 512}


def filled(session: Session, catalog: Catalog) -> tuple[ProductsOf, FilledSuite]:
    """What the product suite would be for a catalog, and of which products. Raises Refused without any."""
    products = catalog_products.products_of(session, catalog.id)
    return products, product_suite.fill(products.products)


def usual_sampling(session: Session, catalog_id: int) -> dict[str, Any]:
    """How the newest run of a catalog samples; `USUAL_SAMPLING` where there is none."""
    newest = (
        select(TrainingRun)
        .join(DatasetVersion, DatasetVersion.id == TrainingRun.version_id)
        .where(DatasetVersion.catalog_id == catalog_id)
        .order_by(TrainingRun.id.desc())
    )
    run = session.scalars(newest).first()
    if run is None:
        return dict(USUAL_SAMPLING)
    recipe = run.recipe
    side = recipe["resolution_px"]
    return {"steps": recipe["sampling_steps"], "guidance": recipe["guidance"], "width_px": side, "height_px": side}


def make_for(
    session: Session, catalog: Catalog, name: str, sampling: Mapping[str, Any], person: Person | None = None
) -> Suite:
    """The product suite of a catalog, with real photos beside it. Raises Refused."""
    _check_name(name)
    _, suite = filled(session, catalog)
    draft = suite_files.draft_of(suite.prompts, product_suite.SEEDS, sampling)
    return _keep(session, name.strip(), draft, catalog.id, person)


def draft_of(session: Session, suite: Suite, prompts: Sequence[Prompt] | None = None) -> SuiteDraft:
    """A suite as a draft: all of it, or these of its prompts."""
    rows = suites.prompts_of(session, suite) if prompts is None else prompts
    return SuiteDraft(tuple(map(suites.text_of, rows)), tuple(suite.seeds), suite.sampling)


def save(session: Session, base: Suite, draft: SuiteDraft, person: Person, expected_version: int) -> Suite:
    """The next version of a suite, as somebody edited it. What is held out and was not opened stays in it, unseen.

    The same as a version that is there is that version. Raises Conflict where another version came after
    `expected_version`, and Refused.
    """
    newest = suites.newest(session, base.name)
    if newest is not None and newest.version != expected_version:
        raise Conflict(
            f"Version {newest.version} of this suite was made meanwhile. Save again to make version "
            f"{newest.version + 1} of what stands here.",
            other=f"version {newest.version}",
        )
    whole = _with_hidden(session, base, draft)
    return _keep(session, base.name, whole, base.catalog_id, person)


def bring_in(session: Session, file: SuiteFile, person: Person, catalog_id: int | None = None) -> Suite:
    """The suite of a file: a new version where there is one of its name, and that one where nothing differs.

    A file that was written without the unopened held-out prompts leaves them in. Raises Refused where it lacks prompts
    that are not here.
    """
    newest = suites.newest(session, file.name)
    hidden = hold_out.unopened(session, newest) if newest is not None else []
    if file.held_back > len(hidden):
        raise Refused(
            f"The file was written without {file.held_back} held-out prompts, and “{file.name}” here does not have "
            "them. Set held_back to 0 in its first line to bring it in without."
        )
    draft = _with_hidden(session, newest, file.draft) if newest is not None and file.held_back else file.draft
    return _keep(session, file.name, draft, newest.catalog_id if newest else catalog_id, person)


def _with_hidden(session: Session, suite: Suite, draft: SuiteDraft) -> SuiteDraft:
    """The draft with what nobody has opened, each prompt at the place that it has in the suite as far as it goes."""
    prompts = list(draft.prompts)
    for prompt in hold_out.unopened(session, suite):
        prompts.insert(min(prompt.position - 1, len(prompts)), suites.text_of(prompt))
    return suite_files.draft_of(prompts, draft.seeds, draft.sampling)


def _keep(session: Session, name: str, draft: SuiteDraft, catalog_id: int | None, person: Person | None) -> Suite:
    last = suites.newest(session, name)
    suite = suites.keep(session, name, draft.prompts, draft.seeds, draft.sampling, catalog_id, person)
    if last is None or suite.version > last.version or suite.name != name:
        prompt_photos.choose(session, suite)
    return suite


def _check_name(name: str) -> None:
    if not 0 < len(name.strip()) <= NAME_AT_MOST or not is_storable(name):
        raise Refused(f"The name of a suite has 1 to {NAME_AT_MOST} characters.")
