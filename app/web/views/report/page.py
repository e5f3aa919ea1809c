"""The report of a sheet, prepared: the same for the page, for the file that opens anywhere, and for readers of a link.

A report never holds pictures or words of prompts that are held out: it travels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.orm import Session

from app.catalog.files import file_of
from app.catalog.tables import Image
from app.database import utc_now
from app.datasets import reading
from app.errors import NotFound
from app.evaluation import comparison, deciding, differing, report_figures, report_pictures, sheets, suites
from app.evaluation.comparison import ComparisonCell, ComparisonRow
from app.evaluation.hold_out import HOLD_OUT
from app.evaluation.report_figures import ColumnFigures, MetricLine, SignOff, VoteFigures
from app.evaluation.report_pictures import JudgedSample, PlacedSample
from app.evaluation.tables import Sample, Sheet, Suite
from app.people import Person, at_least
from app.settings import Settings
from app.storage import Storage
from app.web.views.comparing.form import differences
from app.web.views.report import costs, outcome
from app.web.views.report.costs import CostLine
from app.web.views.report.outcome import ReportOutcome

Reader = Literal["team", "link"]


@dataclass(frozen=True, slots=True)
class ReportPicture:
    """A picture of a report: `key` names it in addresses, `path` is its file. Without one, `why` says why."""

    key: str
    label: str
    alt: str
    path: Path | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A prompt and a seed with a picture of each column."""

    text: str
    category: str
    seed: int
    pictures: list[ReportPicture]


@dataclass(frozen=True, slots=True)
class ReportExtreme:
    """A picture that people liked most or least, with what they said of it, in words."""

    picture: ReportPicture
    text: str
    seed: int
    said: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a column's run is: its recipe in a line, and what it learned from."""

    run_id: int
    recipe: str
    version: str
    version_hash: str
    base: str


@dataclass(frozen=True)
class ReportView:
    """Everything a report says. `src` gives the address of a picture, `href` that of its large one, or ""."""

    sheet: Sheet
    suite: Suite
    title: str
    made_at: datetime
    reader: Reader
    has_names: bool
    outcome: ReportOutcome | None
    sign_offs: list[SignOff]
    columns: list[ColumnFigures]
    row_count: int
    held_out: int
    rows: list[ReportRow]
    seed: int
    best: list[ReportExtreme]
    worst: list[ReportExtreme]
    votes: VoteFigures
    metrics: list[MetricLine]
    runs: list[RunFacts]
    differences: list[str]
    made_with: list[tuple[str, str]]
    costs: list[CostLine]
    total: Decimal | None
    currency: str
    src: Callable[[ReportPicture], str]
    href: Callable[[ReportPicture], str]

    @property
    def reach(self) -> float:
        """How far differences of ratings and their intervals reach to either side, in points; at least 50."""
        known = [each.rating for each in self.columns if each.rating is not None]
        return max([50.0, *(abs(end) for r in known for end in (r.difference_low, r.difference_high))])

    @property
    def pictures(self) -> list[ReportPicture]:
        """All pictures, in the order in which they stand."""
        return [p for row in self.rows for p in row.pictures] + [e.picture for e in (*self.best, *self.worst)]


def view(
    session: Session, settings: Settings, files: Storage, sheet: Sheet, title: str, person: Person | None = None,
    has_names: bool = False,
) -> ReportView:  # fmt: skip
    """The report for somebody of the team, or for readers of a link where there is no person. Names of voters are in it
    only where a lead wants them."""
    suite, page = sheets.suite(session, sheet), comparison.compare(session, sheet)
    rows = report_pictures.open_rows(session, suite, page)
    places = report_pictures.placed(rows, page.columns)
    judged = report_pictures.judged(session, sheet, places)
    shown = report_pictures.by_chance(rows, len(page.columns), sheet.id)
    best, worst = report_pictures.extremes(judged)
    cells = [cell for row in shown for cell in row.pictures]
    finder = _Finder.of(session, files, cells, [each.sample_id for each in (*best, *worst)])
    verdict = deciding.decide(session, sheet)
    has_names = has_names and person is not None and at_least(person, "lead")
    spent = costs.read(session, settings, sheet)
    amounts = [line.amount for line in spent if line.amount is not None]
    compared = sheets.runs_of(session, sheet)
    return ReportView(
        sheet=sheet,
        suite=suite,
        title=title,
        made_at=utc_now(),
        reader="team" if person is not None else "link",
        has_names=has_names,
        outcome=outcome.read(verdict),
        sign_offs=report_figures.sign_offs(session, sheet),
        columns=report_figures.of_columns(session, sheet, verdict, places),
        row_count=len(rows),
        held_out=sum(prompt.tier == HOLD_OUT for prompt in suites.prompts_of(session, suite)),
        rows=[finder.row(row, [column.label for column in page.columns]) for row in shown],
        seed=sheet.id,
        best=[finder.extreme(each, places[each.sample_id]) for each in best],
        worst=[finder.extreme(each, places[each.sample_id]) for each in worst],
        votes=report_figures.of_votes(session, verdict, has_names),
        metrics=report_figures.metrics(session, sheet, page.columns),
        runs=[_facts(session, run.id, run.recipe, run.version_id, run.base) for run in compared],
        differences=differences(session, compared),
        made_with=_made_with(session, finder.samples),
        costs=spent,
        total=sum(amounts, Decimal(0)) if amounts else None,
        currency=settings.currency,
        src=lambda picture: picture.key,
        href=lambda _: "",
    )


def with_addresses(shown: ReportView, small: str, large: Callable[[ReportPicture], str]) -> ReportView:
    """The report as a page: small pictures below the address `small`, large ones where `large` says."""
    return replace(shown, src=lambda picture: f"{small}/{picture.key}", href=large)


def path_of(session: Session, files: Storage, sheet: Sheet, key: str) -> Path:
    """The file of a picture of the sheet, by the key that a report gives it. Raises NotFound for any other picture, and
    for one of a prompt that is held out."""
    cell = report_pictures.cell_of(session, sheet, key)
    path = None if cell is None else _Finder.of(session, files, [cell], []).picture(cell, "", "").path
    if path is None:
        raise NotFound("There is no such picture in this comparison, or its file is gone.")
    return path


@dataclass(frozen=True)
class _Finder:
    """The files of some pictures."""

    files: Storage
    samples: dict[int, Sample]
    photos: dict[int, Image]

    @classmethod
    def of(
        cls, session: Session, files: Storage, cells: Sequence[ComparisonCell], sample_ids: Sequence[int]
    ) -> _Finder:
        samples = {cell.sample_id for cell in cells if cell.sample_id} | set(sample_ids)
        photos = {cell.image_id for cell in cells if cell.image_id}
        return cls(files, report_pictures.samples(session, samples), report_pictures.photos(session, photos))

    def row(self, row: ComparisonRow, labels: Sequence[str]) -> ReportRow:
        """A row with all its pictures."""
        pictures = [
            self.picture(cell, label, f"{label}: {row.text}") for cell, label in zip(row.pictures, labels, strict=True)
        ]
        return ReportRow(row.text, row.category, row.seed, pictures)

    def picture(self, cell: ComparisonCell, label: str, alt: str) -> ReportPicture:
        """The picture of a cell, or why there is none."""
        path = None
        if cell.sample_id in self.samples:
            path = self._sample(self.samples[cell.sample_id])
        elif cell.image_id in self.photos:
            path = file_of(self.files, self.photos[cell.image_id], "view")[0]
        if path is not None and path.is_file():
            return ReportPicture(report_pictures.key_of(cell), label, alt, path)
        return ReportPicture(report_pictures.key_of(cell), label, alt, None, cell.why or "its file is gone")

    def extreme(self, each: JudgedSample, place: PlacedSample) -> ReportExtreme:
        """A picture that stands out, with what was said of it."""
        row, column = place.row, place.column
        cell = ComparisonCell(column.key, column.step, each.sample_id, "")
        picture = self.picture(cell, column.label, f"{column.label}: {row.text}")
        return ReportExtreme(picture, row.text, row.seed, _said(each))

    def _sample(self, sample: Sample) -> Path:
        return self.files.path("samples", sample.sha256, ".png")


def _said(each: JudgedSample) -> str:
    """What people said of a sample: "2 of 3 would publish it; won 4, lost 1; deformed"."""
    parts = []
    if each.answers:
        parts.append(f"{each.usable} of {each.answers} would publish it")
    counts = (("won", each.won), ("tied", each.tied), ("lost", each.lost), ("both bad", each.both_bad))
    if votes := ", ".join(f"{word} {count}" for word, count in counts if count):
        parts.append(votes)
    if each.wrong:
        parts.append(", ".join(word if count == 1 else f"{word} ({count})" for word, count in each.wrong))
    return "; ".join(parts)


def _facts(session: Session, run_id: int, recipe: dict[str, Any], version_id: int, base: str) -> RunFacts:
    row = reading.get(session, version_id)
    called = f"{row.catalog_name}, version {row.version.number}"
    return RunFacts(run_id, differing.recipe_line(recipe), called, (row.version.content_hash or "")[:12], base)


def _made_with(session: Session, samples: dict[int, Sample]) -> list[tuple[str, str]]:
    """What drew the pictures, by name; several values where not all were drawn by the same."""
    values: dict[str, dict[str, None]] = {}
    for sample in samples.values():
        for name, value in sample.made_with.items():
            values.setdefault(name, {})[str(value)] = None
    return [(name, ", ".join(texts)) for name, texts in sorted(values.items())]
