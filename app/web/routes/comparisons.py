"""Captioners compared: the page of a catalog's captioners, a sample judged blind, and adopting one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.captions import runs
from app.captions.asking import LENGTHS, STYLES, Asking, read_asking
from app.captions.run_tables import CaptionRun
from app.catalog import lettering, reading, signals
from app.catalog.tables import Catalog
from app.cycles import spending
from app.desk import judging
from app.desk.comparison_tables import CaptionerComparison
from app.desk.judging import AskedCaptioner, Turn, Verdicts, WinRate
from app.errors import Refused
from app.jobs import Job
from app.people import Person
from app.selection import browse
from app.selection.kinds import NotUnderstood
from app.selection.query import parse
from app.selection.wording import sentence
from app.settings import Settings
from app.web import errors
from app.web.dependencies import Config, CurrentPerson, Page, Read, Write
from app.web.views.photos import Claims, claims_of

router = APIRouter()
Text = Annotated[str, Form()]


@dataclass(frozen=True)
class ListedComparison:
    """A comparison in the list: how its votes fell, and its names where the reader may know them."""

    comparison: CaptionerComparison
    said: Verdicts
    a: CaptionRun
    b: CaptionRun
    is_open: bool
    to_judge: int


@dataclass(frozen=True)
class CaptionersView:
    """The captioners of a catalog: those there are, comparisons, win rates, and the form that begins another.
    `refusal` says why its filter is not understood."""

    catalog: Catalog
    listed: list[ListedComparison]
    rates: list[WinRate]
    choices: list[tuple[str, str]]
    styles: list[tuple[str, str]]
    lengths: list[tuple[str, str]]
    q: str
    refusal: str
    count: int
    said: str
    sample: int


@dataclass(frozen=True)
class JudgeView:
    """One photo to judge, or the end of it. `is_open`: the reader has judged all there is, and may know the names."""

    catalog: Catalog
    comparison: CaptionerComparison
    turn: Turn | None
    left_claims: Claims | None
    right_claims: Claims | None
    judged: int
    there: int
    sample: int
    said: Verdicts
    is_open: bool
    a: CaptionRun
    b: CaptionRun
    jobs: Sequence[Job]
    to_judge: int
    judges: Sequence[str]
    words: str


@dataclass(frozen=True)
class AskedBoth:
    """How the two captioners of the form are asked."""

    a: AskedCaptioner
    b: AskedCaptioner


def asked_both(
    a: Text,
    b: Text,
    a_style: Text = "plain",
    b_style: Text = "plain",
    a_length: Text = "medium",
    b_length: Text = "medium",
    a_prompt: Text = "",
    b_prompt: Text = "",
    a_facts: Annotated[bool, Form()] = False,
    b_facts: Annotated[bool, Form()] = False,
) -> AskedBoth:
    """The form's two sides. Raises Refused for what cannot be asked."""

    def one_of(captioner: str, style: str, length: str, prompt: str, facts: bool) -> AskedCaptioner:
        if captioner == runs.FACTS:
            return AskedCaptioner(captioner, Asking())
        return AskedCaptioner(
            captioner, read_asking({"style": style, "length": length, "prompt": prompt, "facts": facts})
        )

    return AskedBoth(one_of(a, a_style, a_length, a_prompt, a_facts), one_of(b, b_style, b_length, b_prompt, b_facts))


@router.get("/catalogs/{catalog_id}/captioners")
def captioners(
    catalog_id: int, session: Read, page: Page, config: Config, me: CurrentPerson, q: str = ""
) -> HTMLResponse:
    """The captioners of a catalog, compared."""
    catalog = reading.get(session, catalog_id)
    count, said, refusal = 0, "", ""
    try:
        chosen = parse(q, catalog_id)
        count = browse.count(session, chosen)
        q, said = chosen.query, sentence(chosen, count)
    except NotUnderstood as error:
        refusal = error.sentence
    listed = []
    for comparison in judging.of_catalog(session, catalog_id):
        a, b = judging.runs_of(session, comparison)
        listed.append(
            ListedComparison(
                comparison, judging.verdicts(session, comparison), a, b, _is_open(session, comparison, me),
                judging.to_judge(session, comparison),
            )
        )  # fmt: skip
    judged = [row.comparison for row in listed if row.is_open]
    return page(
        "captioners/captioners.html",
        CaptionersView(
            catalog, listed, judging.win_rates(session, judged), _choices(config),
            [(name, name) for name in STYLES], [(name, name) for name in LENGTHS], q, refusal, count,
            said, judging.SAMPLE,
        ),
        status=422 if refusal else 200,
    )  # fmt: skip


@router.post("/catalogs/{catalog_id}/comparisons")
def begin(
    catalog_id: int,
    session: Write,
    config: Config,
    me: CurrentPerson,
    asked: Annotated[AskedBoth, Depends(asked_both)],
    q: Text = "",
) -> Response:
    """Let two captioners caption a sample of the photos that match `q`."""
    reading.get(session, catalog_id)
    allowed = {name for name, _ in _choices(config)}
    if not {asked.a.captioner, asked.b.captioner} <= allowed:
        raise Refused("This captioner is not configured.")
    if {asked.a.captioner, asked.b.captioner} != {runs.FACTS}:
        spending.refuse(session, config, me)
    comparison, _ = judging.begin(session, me, parse(q, catalog_id), asked.a, asked.b, config)
    return RedirectResponse(f"/comparisons/{comparison.id}", 303)


@router.get("/comparisons/{comparison_id}")
def judge(
    comparison_id: int, request: Request, session: Read, page: Page, me: CurrentPerson, image_id: int | None = None
) -> HTMLResponse:
    """The next photo to judge, its two captions side by side; or what came of it."""
    comparison = judging.get(session, comparison_id)
    view = _view(session, comparison, me, image_id)
    if request.headers.get("x-fragment") == "1":
        return page.fragment("captioners/_judge.html", view)
    return page("captioners/judge.html", view)


@router.post("/comparisons/{comparison_id}/votes")
def vote(
    comparison_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    image_id: Annotated[int, Form()],
    choice: Text,
    text: Text = "",
    expected_id: Annotated[int | None, Form()] = None,
) -> Response:
    """Which caption is better; and one's own, made of the words of both, where it was written."""
    comparison = judging.get(session, comparison_id)
    judging.vote(session, comparison, me, image_id, choice, text, expected_id)
    if errors.wants_json(request):
        return JSONResponse({"next": f"/comparisons/{comparison_id}"})
    return RedirectResponse(f"/comparisons/{comparison_id}", 303)


@router.post("/comparisons/{comparison_id}/votes/undo")
def take_back(comparison_id: int, session: Write, me: CurrentPerson) -> Response:
    """Take one's newest vote back, and judge that photo again."""
    image_id = judging.take_back(session, judging.get(session, comparison_id), me)
    where = f"?image_id={image_id}" if image_id is not None else ""
    return RedirectResponse(f"/comparisons/{comparison_id}{where}", 303)


@router.post("/comparisons/{comparison_id}/adoption")
def adopt(comparison_id: int, session: Write, config: Config, me: CurrentPerson, which: Text) -> Response:
    """Let one of the two caption the whole selection."""
    comparison = judging.get(session, comparison_id)
    if any(run.captioner != runs.FACTS for run in judging.runs_of(session, comparison)):
        spending.refuse(session, config, me)
    judging.adopt(session, comparison, me, which, config)
    return RedirectResponse(f"/catalogs/{comparison.catalog_id}/operations", 303)


def _view(session: Session, comparison: CaptionerComparison, me: Person, image_id: int | None) -> JudgeView:
    turn = judging.turn(session, comparison, me, image_id)
    measured = signals.of(session, turn.image.id) if turn is not None else None
    read_text = lettering.of(session, turn.image.id) if turn is not None else None
    a, b = judging.runs_of(session, comparison)
    there, judged = judging.ready(session, comparison), judging.voted(session, comparison, me)
    return JudgeView(
        catalog=reading.get(session, comparison.catalog_id),
        comparison=comparison,
        turn=turn,
        left_claims=claims_of(session, turn.image, measured, read_text, turn.left) if turn is not None else None,
        right_claims=claims_of(session, turn.image, measured, read_text, turn.right) if turn is not None else None,
        judged=len(judged),
        there=len(there),
        sample=judging.sample_size(session, comparison),
        said=judging.verdicts(session, comparison),
        is_open=_is_open(session, comparison, me),
        a=a,
        b=b,
        jobs=[job for job in judging.jobs_of(session, comparison) if not job.is_over],
        to_judge=judging.to_judge(session, comparison),
        judges=judging.judged_by(session, comparison),
        words=sentence(parse(comparison.query, comparison.catalog_id), comparison.photos),
    )


def _is_open(session: Session, comparison: CaptionerComparison, me: Person) -> bool:
    """Whether this person has judged all that there is to judge, or it is adopted."""
    there = judging.ready(session, comparison)
    is_done = bool(there) and judging.voted(session, comparison, me).keys() >= set(there)
    is_over = all(job.is_over for job in judging.jobs_of(session, comparison))
    return comparison.adopted is not None or (is_done and is_over)


def _choices(config: Settings) -> list[tuple[str, str]]:
    model = [(config.caption_model, config.caption_model)] if config.caption_model is not None else []
    return [(runs.FACTS, "the facts captioner"), *model]
