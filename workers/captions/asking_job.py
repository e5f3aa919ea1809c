"""Asking a captioner about many photos: read ahead, asked in batches of one size, judged, asked again once, and kept.

All of it under one caption run. What was answered of a photo is kept as it comes, and that photo is not asked about
again under the same run, however often a worker is killed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image as Pillow
from sqlalchemy import any_, select
from sqlalchemy.orm import Session

from app.captions import answers, proposing, runs
from app.captions.answers import BrokenAnswer
from app.captions.asking import Asking, Prices, read_asking
from app.captions.run_tables import CaptionRun
from app.captions.runs import Answered, Spent
from app.captions.tables import Kind
from app.catalog.ahead import ahead
from app.catalog.tables import Image
from app.cycles import ledger
from app.database import array
from app.errors import Refused
from app.labels.known import known_of
from workers.captions.captioner import Captioner, PhotoAnswer, PhotoQuestion
from workers.captions.purse import Purse
from workers.captions.server import ServerCaptioner
from workers.captions.shrinking import LONGEST_SIDE_PX, shrink
from workers.celery_app import Work
from workers.errors import InputError

log = logging.getLogger(__name__)

# So many photos are looked up at once, and put in order by their size, so that those of a batch are alike.
LOOKED_UP_AT_ONCE: Final = 256
NAMED_AT_MOST: Final = 20
# What a small model answers in less is kept together: a transaction for each would take as long as the model does.
KEPT_EVERY_S: Final = 1.0
OnKept = Callable[[Session, Sequence[Answered]], None]


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """A photo as it is asked about: where its picture lies, and what is known of it."""

    image_id: int
    file_name: str
    render_path: str
    known: dict[str, str]
    first: str


@dataclass(frozen=True, slots=True)
class ReadPhoto:
    """One photo, read: RGB, upright; None where its file cannot be read, or the captioner looks at no picture."""

    row: PhotoRow
    picture: Pillow.Image | None


@dataclass
class AskingRun:
    """A captioner asked over photos: the run, how, and what came of it so far."""

    work: Work
    captioner: Captioner
    run: CaptionRun
    asking: Asking
    on_kept: OnKept = lambda session, offers: None
    done: int = 0
    written: int = 0
    failed: int = 0
    passed_over: list[str] = field(default_factory=list)
    note: str | None = None  # none was told yet: the one about loading stands
    waiting: list[Answered] = field(default_factory=list)  # answered, and not kept yet
    took: Spent = field(default_factory=Spent)  # what these took
    kept_at: float = field(default_factory=time.monotonic)

    def all_of(self, image_ids: Sequence[int]) -> None:
        """Ask about each photo that the run has no text of. Raises Refused where the captioner can do no more,
        Cancelled and GivesWay between batches."""
        if sentence := self.captioner.obstacle(self.asking):
            raise Refused(sentence)
        with self.work.transaction() as session:
            left = runs.unanswered(session, self.run.id, image_ids)
        if self.work.claim.whole_id is None:
            self.done += len(image_ids) - len(left)
        for start in range(0, len(left), LOOKED_UP_AT_ONCE):
            rows = self._rows(left[start : start + LOOKED_UP_AT_ONCE])
            # So many threads that a whole batch is read while the one before it is asked about.
            threads = max(2, self.captioner.at_once // 2) if self.captioner.looks else 1
            with closing(ahead(self._read, rows, threads)) as photos:
                try:
                    for batch in _batches(photos, self.captioner.at_once):
                        self._ask(batch)
                        if not self.captioner.answers_together or time.monotonic() - self.kept_at >= KEPT_EVERY_S:
                            self._keep()
                            self.work.go_on()
                finally:
                    self._keep()
            self.work.go_on()

    def _rows(self, image_ids: Sequence[int]) -> list[PhotoRow]:
        """The photos that are still there, in order of their size."""
        with self.work.transaction() as session:
            rows = session.execute(
                select(Image.id, Image.file_name, Image.render_path)
                .where(Image.id == any_(array(image_ids)))
                .order_by(Image.width_px * Image.height_px, Image.width_px, Image.id)
            ).all()
            ids = [row.id for row in rows]
            known = known_of(session, ids) if self.asking.facts else {}
            first = proposing.facts_of(session, ids) if not self.captioner.looks else {}
        return [
            PhotoRow(row.id, row.file_name, row.render_path, known.get(row.id, {}), first.get(row.id, ("", {}))[0])
            for row in rows
        ]

    def _read(self, row: PhotoRow) -> ReadPhoto:
        if not self.captioner.looks:
            return ReadPhoto(row, None)
        try:
            with Pillow.open(self.work.storage.root / row.render_path) as opened:
                # Here, in a thread: what comes after has less to copy.
                return ReadPhoto(row, shrink(opened))
        # Pillow says SyntaxError of a broken PNG.
        except (OSError, SyntaxError, Pillow.DecompressionBombError) as error:
            log.warning("photo %s cannot be read: %s", row.image_id, error)
            return ReadPhoto(row, None)

    def _ask(self, batch: Sequence[ReadPhoto]) -> None:
        """Ask about a batch, and about those whose answers were broken once more."""
        unread = [photo for photo in batch if photo.picture is None and self.captioner.looks]
        self.waiting += [self._offer(photo.row, failure="cannot be read") for photo in unread]
        again = self._ask_once([photo for photo in batch if photo not in unread], {})
        if again:
            self._ask_once([photo for photo in batch if photo.row.image_id in again], again)
        money = ""
        if isinstance(self.captioner, ServerCaptioner) and self.captioner.purse.prices.is_paid:
            money = self.captioner.purse.words
        counted = f"{self.failed} passed over" if self.failed else ""
        note = " · ".join(part for part in (counted, money) if part)
        if note != self.note:
            self.work.tell(note=note)
            self.note = note

    def _ask_once(self, photos: Sequence[ReadPhoto], broken: dict[int, str]) -> dict[int, str]:
        """Ask about these photos, `broken` by why their answers before were. Keeps what can be kept, and why what is
        broken again cannot; returns the newly broken."""
        rows = {photo.row.image_id: photo.row for photo in photos}
        questions = [self._question(photo, broken.get(photo.row.image_id, "")) for photo in photos]
        newly: dict[int, str] = {}
        try:
            for some in self._as_they_come(questions):
                offers = []
                for answer in some:
                    row = rows[answer.image_id]
                    try:
                        offers.append(self._judged(row, answer))
                    except BrokenAnswer as why:
                        if row.image_id in broken:
                            failure = f"{broken[row.image_id]} Asked again: {why}"
                            offers.append(self._offer(row, answer, failure=failure))
                        else:
                            newly[row.image_id] = str(why)
                self.waiting += offers
                self.took += self._spent(some)
                if not self.captioner.answers_together:
                    self._keep()
        except InputError as refusal:
            raise Refused(str(refusal)) from refusal
        return newly

    def _as_they_come(self, questions: Sequence[PhotoQuestion]) -> Iterator[list[PhotoAnswer]]:
        """A model's answers come all at once; a server's come one by one, each paid for, and are kept so."""
        answered = self.captioner.answer(questions)
        if self.captioner.answers_together:
            yield list(answered)
            return
        for answer in answered:
            yield [answer]

    def _question(self, photo: ReadPhoto, broken: str) -> PhotoQuestion:
        asking, row = self.asking, photo.row
        mark = _mark(row.image_id)
        return PhotoQuestion(
            row.image_id, asking.put(row.known, mark, broken), photo.picture, row.first, asking.length, asking.prompt,
            asking.most_tokens, answers.schema_of(asking.kinds, mark) if asking.is_structured else None,
        )  # fmt: skip

    def _judged(self, row: PhotoRow, answer: PhotoAnswer) -> Answered:
        """What can be kept of an answer. Raises BrokenAnswer."""
        if answer.failure:
            return self._offer(row, answer, failure=answer.failure)
        if self.asking.is_structured:
            texts = answers.read_object(answer.text, self.asking.kinds, _mark(row.image_id), answer.is_cut)
            return self._offer(row, answer, {kind: texts[kind] for kind in self.asking.kinds})
        return self._offer(row, answer, {"long": answers.read_sentence(answer.text, answer.is_cut)})

    def _offer(
        self, row: PhotoRow, answer: PhotoAnswer | None = None, texts: dict[Kind, str] | None = None, failure: str = ""
    ) -> Answered:
        if failure:
            self.failed += 1
            if len(self.passed_over) < NAMED_AT_MOST:
                colon = " " if failure == "cannot be read" else ": "
                self.passed_over.append(f"{row.file_name}{colon}{failure}")
        asked = answer.asked if answer is not None else ""
        return Answered(
            row.image_id, texts or {}, failure, settings_of(self.captioner, self.asking, asked, self.run.id)
        )

    def _spent(self, some: Sequence[PhotoAnswer]) -> Spent:
        tokens_in = sum(answer.tokens_in for answer in some)
        tokens_out = sum(answer.tokens_out for answer in some)
        is_paid = isinstance(self.captioner, ServerCaptioner)
        prices = self.captioner.purse.prices if isinstance(self.captioner, ServerCaptioner) else Prices()
        return Spent(tokens_in, tokens_out, prices.of(tokens_in, tokens_out) if is_paid else 0.0)

    def _keep(self) -> None:
        """Keep what was answered under the job's token, with what follows from it and what it took."""
        offers, spent = self.waiting, self.took
        self.waiting, self.took, self.kept_at = [], Spent(), time.monotonic()
        if not offers and spent == Spent():
            return
        self.done += len(offers)
        with self.work.transaction() as session:
            self.work.keep(session, self.done)
            ids = [offer.image_id for offer in offers]
            # Those that are being taken away meanwhile are left out; the others stay until this is kept.
            there = set(
                session.scalars(
                    select(Image.id)
                    .where(Image.id == any_(array(ids)))
                    .order_by(Image.id)
                    .with_for_update(read=True, key_share=True)
                )
            )
            kept = [offer for offer in offers if offer.image_id in there]
            runs.keep(session, self.run.id, kept, spent)
            self.on_kept(session, [offer for offer in kept if offer.texts])
            if spent.amount:
                ledger.spend(session, self.work.claim.job_id, spent.amount)


def settings_of(captioner: Captioner, asking: Asking, asked: str, run_id: int) -> dict[str, Any]:
    """How a caption was written, as it is kept with it: the prompt as it was put, facts and all, and every knob."""
    return {
        "prompt": asked or None,
        **asking.model_dump(mode="json", include={"style", "length", "facts"}),
        "max_new_tokens": asking.most_tokens,
        "longest_side_px": LONGEST_SIDE_PX,
        "run": run_id,
        **({"revision": captioner.revision} if captioner.revision else {}),
    }


def asking_of(value: dict[str, Any] | None) -> Asking:
    """How the captioner is asked, out of a job's arguments or an act's value; plainly, where they say nothing."""
    return read_asking(value or {})


def at_server(work: Work, model: str, run: CaptionRun) -> ServerCaptioner:
    """The captioner at the caption server, with what its run has left to spend. Raises Refused where none is set."""
    settings = work.settings
    if settings.caption_server is None:
        raise Refused("No caption server is set any more; set PACKSHOT_CAPTION_SERVER, or ask again.")
    prices = Prices(float(settings.caption_price_in), float(settings.caption_price_out))
    limit = None if settings.caption_spend_limit is None else float(settings.caption_spend_limit)
    purse = Purse(prices, limit, float(run.spent), settings.currency)
    key = settings.caption_server_key.get_secret_value() if settings.caption_server_key is not None else ""
    return ServerCaptioner(
        model, settings.caption_server, key, settings.caption_server_at_once, float(settings.caption_server_timeout_s),
        purse, lambda: work.is_cancel_asked,
    )  # fmt: skip


def _mark(image_id: int) -> str:
    """What a JSON answer repeats, so that one about another photo is known."""
    return f"photo-{image_id}"


def _batches(photos: Iterator[ReadPhoto], size: int) -> Iterator[list[ReadPhoto]]:
    batch: list[ReadPhoto] = []
    for photo in photos:
        batch.append(photo)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
