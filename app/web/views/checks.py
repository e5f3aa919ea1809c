"""The pages of checks: a sheet's, counted by column, and one sample's with what shows why drawn over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app import jobs
from app.catalog import drawing
from app.catalog.drawing import Mark
from app.catalog.outlines import area_of, outer_rings
from app.catalog.text_lines import Box, TextLine
from app.errors import NotFound, Refused
from app.evaluation import checking_samples, hold_out, measuring, profile_editing, sample_rules, sheets, suites
from app.evaluation.checking_samples import CheckedSample, ColumnChecks
from app.evaluation.measure_tables import SampleMeasure
from app.evaluation.profiles import Profile
from app.evaluation.sample_rules import ANSWERS, WORDS, Answer, SampleCheck
from app.evaluation.tables import Prompt, Sample, Sheet, Suite
from app.jobs import Job
from app.people import Person
from app.storage import Storage
from app.training.tables import Checkpoint

PICTURES: Final = 120
OVERALL: Final = "all"
# What is marked pixel by pixel, by the part of a check's overlay that asks for it.
MARKS: Final[dict[str, Mark]] = {"offwhite": "offwhite", "ground": "ground", "edges": "edges", "colour": "colour"}


@dataclass(frozen=True, slots=True)
class TallyCell:
    """What a column answers to one check: counts with the addresses of the pictures behind them."""

    answers: list[tuple[Answer, int, str]]
    count: int


@dataclass(frozen=True, slots=True)
class TallyRow:
    """A check, or all of them together, over the columns."""

    name: str
    title: str
    is_required: bool
    cells: list[TallyCell]


@dataclass(frozen=True, slots=True)
class PictureBehind:
    """A picture behind a count: why it answers so."""

    sample: CheckedSample
    why: str
    href: str


@dataclass(frozen=True)
class SheetChecksView:
    """The checks of a sheet. `behind` are the pictures of one count, of which there are `behind_count`."""

    sheet: Sheet
    suite: Suite
    title: str
    profile: Profile
    profiles: list[tuple[str, str]]
    columns: list[str]
    rows: list[TallyRow]
    measured: int
    drawn: int
    job: Job | None
    behind: list[PictureBehind]
    behind_count: int
    behind_title: str
    words: dict[Answer, str]


@dataclass(frozen=True, slots=True)
class CheckLine:
    """A check of one sample, with the address that shows why, and whether it is the one that is shown."""

    check: SampleCheck
    word: str
    href: str
    is_shown: bool


@dataclass(frozen=True)
class SampleChecksView:
    """One sample with its checks. `shows` are the parts drawn over it, in shares of the frame; `outline` is a path in
    thousandths of it, `mark` the pixels that are marked."""

    sample: Sample
    prompt: Prompt
    checkpoint: Checkpoint
    checked: CheckedSample
    profile: Profile
    profiles: list[tuple[str, str]]
    lines: list[CheckLine]
    shown: str
    shows: tuple[str, ...]
    mark: str
    outline: str
    box: Box | None
    sides: tuple[str, ...]
    edges: list[tuple[str, str, float]]
    parts: list[Box]
    texts: tuple[TextLine, ...]
    room: float | None
    is_copy_shown: bool


def of_sheet(
    session: Session, sheet_id: int, title: str, profile_key: str, check: str, column: str, answer: str, me: Person
) -> SheetChecksView:
    """The checks of a sheet held against a profile, and the pictures behind one count. Raises NotFound."""
    sheet = sheets.get(session, sheet_id)
    profile = profile_editing.of_sheet(session, sheet, profile_key)
    columns = checking_samples.results(session, sheet, profile)
    suite = suites.get(session, sheet.suite_id)
    measured, drawn = checking_samples.progress(session, sheet)
    visible = {prompt.id for prompt in hold_out.shown(session, suite, me)}
    chosen = [each for each in columns if str(each.checkpoint_id) == column]
    behind = [
        PictureBehind(sample, why, _sample_href(sample.sample_id, profile.key, check))
        for each in chosen
        for sample in each.samples
        if sample.prompt_id in visible and (why := _why(sample, check, answer)) is not None
    ]
    rows = _rows(sheet, columns, profile)
    titles = {row.name: row.title for row in rows}
    return SheetChecksView(
        sheet=sheet,
        suite=suite,
        title=title,
        profile=profile,
        profiles=_choices(session),
        columns=[_label(sheet, each) for each in columns],
        rows=rows,
        measured=measured,
        drawn=drawn,
        job=_job(session, sheet),
        behind=behind[:PICTURES],
        behind_count=len(behind),
        behind_title=f"{_label(sheet, chosen[0])} · {titles.get(check, '')}" if chosen else "",
        words=WORDS,
    )


def _job(session: Session, sheet: Sheet) -> Job | None:
    """The newest job that measures the sheet, while it goes on or where it failed."""
    newest = measuring.newest_job(session, sheet)
    return newest if newest is not None and (not newest.is_over or newest.state == "failed") else None


def _label(sheet: Sheet, column: ColumnChecks) -> str:
    step = "Base" if column.step == 0 else f"{column.step:,}"
    return step if sheet.run_id is not None else f"Run {column.run_id} · {step}"


def _rows(sheet: Sheet, columns: Sequence[ColumnChecks], profile: Profile) -> list[TallyRow]:
    tallies = [column.tallies() for column in columns]
    names = {name: tally for of_column in tallies for name, tally in of_column.items()}
    order = [rule for rule in profile.rules if rule in names]
    before = [name for name in names if name not in profile.rules]

    def cell(column: ColumnChecks, name: str, numbers: dict[Answer, list[int]]) -> TallyCell:
        address = {"profile": profile.key, "check": name, "column": column.checkpoint_id}
        answers = [
            (
                answer,
                len(numbers[answer]),
                f"/compare/{sheet.id}/checks?{urlencode({**address, 'answer': answer})}#behind",
            )
            for answer in ANSWERS
        ]
        return TallyCell(answers, sum(count for _, count, _ in answers))

    everything = [cell(column, OVERALL, {answer: column.of(answer) for answer in ANSWERS}) for column in columns]
    rows = [TallyRow(OVERALL, "All that is required", True, everything)]
    for name in [*before, *order]:
        cells = []
        for column, of_column in zip(columns, tallies, strict=True):
            tally = of_column.get(name)
            cells.append(cell(column, name, {answer: tally.of(answer) if tally else [] for answer in ANSWERS}))
        rows.append(TallyRow(name, names[name].title, names[name].is_required, cells))
    return rows


def _why(sample: CheckedSample, check: str, answer: str) -> str | None:
    """Why a sample gives this answer to a check; None where it gives another."""
    if check == OVERALL:
        if sample.answer != answer:
            return None
        reasons = [each.why for each in sample.checks if each.answer == answer and each.is_required]
        return reasons[0] if reasons and answer != "passed" else ""
    return next((each.why for each in sample.checks if each.name == check and each.answer == answer), None)


def _choices(session: Session) -> list[tuple[str, str]]:
    return [(kept.profile.key, kept.profile.name) for kept in profile_editing.current(session)]


def _sample_href(sample_id: int, profile: str, show: str) -> str:
    return f"/samples/{sample_id}/checks?{urlencode({'profile': profile, 'show': show})}"


def of_sample(session: Session, sample_id: int, profile_key: str, show: str, me: Person) -> SampleChecksView:
    """One sample held against a profile; `show` is the check whose reason is drawn over it, else the first that failed.

    Raises NotFound, and Refused where its prompt is held out and hidden.
    """
    sample = sheets.sample(session, sample_id)
    prompt = session.get_one(Prompt, sample.prompt_id)
    if prompt.id not in {each.id for each in hold_out.shown(session, suites.get(session, prompt.suite_id), me)}:
        raise Refused("This prompt is held out, and hidden until a lead opens it.")
    profile = profile_editing.get(session, profile_key or "house").profile
    checked = checking_samples.of_sample(session, sample, profile)
    row = session.get(SampleMeasure, sample.id)
    facts = measuring.facts_of(sample, row)
    held = sorted(checked.checks, key=lambda check: ANSWERS.index(check.answer))
    shown = next((each for each in held if each.name == show), held[0] if held else None)
    box = facts.values.get("box")
    rings = outer_rings(facts.outline)
    mark = next((MARKS[part] for part in shown.shows if part in MARKS), "") if shown else ""
    return SampleChecksView(
        sample=sample,
        prompt=prompt,
        checkpoint=session.get_one(Checkpoint, sample.checkpoint_id),
        checked=checked,
        profile=profile,
        profiles=_choices(session),
        lines=[
            CheckLine(each, WORDS[each.answer], _sample_href(sample.id, profile.key, each.name), each is shown)
            for each in held
        ],
        shown=shown.name if shown else "",
        shows=shown.shows if shown else (),
        mark=mark,
        outline=facts.outline,
        box=(box[0], box[1], box[2], box[3]) if box else None,
        sides=tuple(facts.values.get("cropped_edges") or ()),
        edges=[
            (kind, axis, place)
            for kind in ("border", "seam")
            for axis, place in (row.evidence.get(f"{kind}_lines") or () if row else ())
        ],
        parts=[_box(ring) for ring in rings if area_of(ring) >= sample_rules.PROP_SHARE * area_of(rings[0])],
        texts=facts.lines or (),
        room=facts.values.get("detail"),
        is_copy_shown=checked.nearest is not None and checked.nearest.image_id is not None,
    )


def _box(ring: Sequence[tuple[float, float]]) -> Box:
    x, y = zip(*ring, strict=True)
    return min(x), min(y), max(x), max(y)


def drawn(session: Session, files: Storage, sample_id: int, of: str) -> bytes:
    """Pixels to lay over a sample, as a PNG. Raises NotFound for marks that there are none of, and for a lost file."""
    sample = sheets.sample(session, sample_id)
    row = session.get(SampleMeasure, sample.id)
    if of not in MARKS or row is None:
        raise NotFound(f"No pixels show “{of[:20]}”.")
    colour = row.values.get("subject_lab")
    path = files.path("samples", sample.sha256, ".png")
    return drawing.evidence_of(path, row.evidence.get("outline") or "", (MARKS[of],), colour)


def ask_to_measure(session: Session, sheet_id: int, me: Person) -> jobs.Job:
    """Ask for what is not measured of a sheet. Raises NotFound."""
    return measuring.request(session, sheets.get(session, sheet_id), me)
