"""What the vote pages show and take: pairs and single pictures under sealed names, the same for people and for guests.

Nothing that a browser gets says which checkpoint drew a picture: no number, no order, no date of a file.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any, Final, Literal

from sqlalchemy.orm import Session

from app.catalog import reading
from app.catalog.files import file_of
from app.errors import NotFound, Refused
from app.evaluation import failures, sheets, source_type, usable, voting
from app.evaluation.comparison import words_for
from app.evaluation.tables import Prompt, PromptPhoto, Sample, Sheet
from app.evaluation.usable import SaidOfPicture, SinglePicture
from app.evaluation.voting import VotePair, VoteProgress, Voter
from app.storage import Storage
from app.web import sealing

AHEAD: Final = 4
"""Turns that a page holds, the one it shows among them: its pictures are there when it comes to them."""
PICTURE_LASTS: Final = timedelta(hours=12)
TURN_LASTS: Final = timedelta(days=7)
"""A vote may wait in a browser for the network, or for somebody to sign in again."""
Mode = Literal["pairs", "single"]


@dataclass(frozen=True)
class Booth:
    """Where somebody votes: a sheet, who it is, and the address under which their votes are taken."""

    session: Session
    storage: Storage
    sheet: Sheet
    voter: Voter
    here: str
    guest: str | None = None
    """The name of a guest; None for a person of the team."""

    def seal(self, kind: str, *parts: int | None) -> str:
        """A token that only this voter can use, and only on this sheet."""
        return sealing.seal(self.storage, (kind, self.sheet.id, self.voter.key, *parts))

    def unseal(self, kind: str, token: str, lasts: timedelta) -> list[Any] | None:
        """The parts of a token of this voter on this sheet; None for any other."""
        parts = sealing.unseal(self.storage, token, lasts)
        own = [kind, self.sheet.id, self.voter.key]
        return parts[3:] if parts is not None and parts[:3] == own else None


@dataclass(frozen=True)
class ShownPicture:
    """A picture of a turn: its sealed `name`, where it is (`src`), and what this voter has said of it."""

    name: str
    src: str
    width: int
    height: int
    usable: bool | None
    failures: list[str]


@dataclass(frozen=True)
class VoteTurn:
    """What is shown at once: a prompt, with two pictures or one, under the sealed name `ticket`."""

    ticket: str
    prompt: str
    pictures: list[ShownPicture]


@dataclass(frozen=True)
class VoteView:
    """The vote page. `turns` are those that it holds, the first is shown; none where all is done or nothing is drawn.

    `goal` is how many a voter is asked for, `left` how long the rest takes at their pace, in words, where it is known.
    """

    sheet: Sheet
    title: str
    here: str
    mode: Mode
    turns: list[VoteTurn]
    turns_json: list[dict[str, Any]]
    progress: VoteProgress
    goal: int
    left: str
    is_drawn: bool
    failures: Sequence[tuple[str, str]]
    guest: str | None
    pairs_at: str
    single_at: str


def address(booth: Booth, mode: Mode) -> str:
    """Where the page of this mode is."""
    if mode == "single":
        return f"{booth.here}/usable"
    return booth.here if booth.guest is not None else f"{booth.here}/vote"


def view(booth: Booth, title: str, mode: Mode, ticket: str = "") -> VoteView:
    """The page as it is now; with the turn of `ticket` first, where it is given."""
    first = _shown_again(booth, mode, ticket) if ticket else None
    shown = ([first] if first is not None else []) + turns(booth, mode, [ticket] if first is not None else [])
    asked = usable.progress if mode == "single" else voting.progress
    progress, possible = asked(booth.session, booth.sheet, booth.voter), _possible(booth, mode)
    goal = min(voting.ENOUGH, possible)
    left = max(0, goal - progress.done)
    return VoteView(
        sheet=booth.sheet, title=title, here=booth.here, mode=mode, turns=shown, turns_json=[asdict(t) for t in shown],
        progress=progress, goal=goal, left=words_for(left * progress.pace_s) if progress.pace_s and left else "",
        is_drawn=possible > 0, failures=list(failures.WORDS.items()), guest=booth.guest,
        pairs_at=address(booth, "pairs"), single_at=address(booth, "single"),
    )  # fmt: skip


def _possible(booth: Booth, mode: Mode) -> int:
    """How many turns there are for one voter, swapped repeats apart."""
    if mode == "single":
        return len(usable.pictures_of(booth.session, booth.sheet))
    beside = Counter((cell.prompt_id, cell.seed) for cell in voting.drawn(booth.session, booth.sheet))
    return sum(math.comb(count, 2) for count in beside.values())


def turns(booth: Booth, mode: Mode, held: Sequence[str] = ()) -> list[VoteTurn]:
    """The turns that come after those that the page holds already."""
    count = max(0, AHEAD - len(held))
    if mode == "pairs":
        kept = [pair for pair in (_pair(booth, ticket) for ticket in held) if pair is not None]
        pairs = voting.next_pairs(booth.session, booth.sheet, booth.voter, count, kept)
        return [turn for turn in (_turn_of_pair(booth, pair) for pair in pairs) if turn is not None]
    singles = [each for each in (_picture(booth, name) for name in held) if each is not None]
    chosen = usable.next_pictures(booth.session, booth.sheet, booth.voter, count, singles)
    return [turn for turn in (_turn_of_one(booth, each) for each in chosen) if turn is not None]


def vote(booth: Booth, ticket: str, choice: str, seconds: float | None, was_zoomed: bool) -> None:
    """Keep a vote on a pair that was shown to this voter. Raises Refused for any other."""
    pair = _needs_pair(booth, ticket)
    took_s = _since(booth, ticket) if seconds is None else seconds
    voting.vote(booth.session, booth.sheet, booth.voter, pair, choice, took_s, was_zoomed)


def take_back(booth: Booth, ticket: str) -> str | None:
    """Take a vote back, or the newest one; the ticket of its pair. Raises Refused for a pair that was not shown."""
    pair = voting.take_back(booth.session, booth.sheet, booth.voter, _needs_pair(booth, ticket) if ticket else None)
    return None if pair is None else _ticket(booth, pair)


def answer(booth: Booth, name: str, is_usable: bool, seconds: float | None) -> None:
    """Keep whether a picture would be published. Raises Refused for one that was not shown to this voter."""
    picture = _needs_picture(booth, name)
    took_s = _since(booth, name) if seconds is None else seconds
    usable.answer(booth.session, booth.sheet, booth.voter, picture, is_usable, took_s)


def take_answer_back(booth: Booth, name: str) -> str | None:
    """Take an answer back, or the newest one; the sealed name of its picture. Raises Refused as `answer` does."""
    picture = usable.take_back(booth.session, booth.sheet, booth.voter, _needs_picture(booth, name) if name else None)
    return None if picture is None else _name(booth, picture)


def tell(booth: Booth, name: str, failure: str, is_so: bool | None) -> None:
    """Keep what is wrong with a picture. Raises Refused for one that was not shown to this voter."""
    usable.tag(booth.session, booth.sheet, booth.voter, _needs_picture(booth, name), failure, is_so)


def picture_bytes(booth: Booth, name: str) -> bytes:
    """The picture of a sealed name, PNG. Raises NotFound for one that is not this voter's, or was sealed long ago."""
    picture = _picture(booth, name, PICTURE_LASTS)
    if picture is None:
        raise NotFound("This picture was shown a while ago, or to somebody else. Load the page again.")
    if picture.sample_id is not None:
        path = booth.storage.path("samples", sheets.sample(booth.session, picture.sample_id).sha256, ".png")
        if not path.is_file():
            raise NotFound("The file of this picture is not in the data folder any more.")
        # A photo has no such mark, and none may be put on it.
        return source_type.unmarked_png(path.read_bytes())
    return _photo_bytes(booth, picture.prompt_photo_id or 0)


def _photo_bytes(booth: Booth, prompt_photo_id: int) -> bytes:
    """A real photo as samples come: of their height, in their format. Neither may tell which it is."""
    from PIL import Image as Pillow

    photo = booth.session.get(PromptPhoto, prompt_photo_id)
    if photo is None:
        raise NotFound("This picture is not in the comparison any more.")
    path, _ = file_of(booth.storage, reading.shown(booth.session, photo.image_id), "view")
    if not path.is_file():
        raise NotFound("The file of this picture is not in the data folder any more.")
    with Pillow.open(path) as opened:
        opened.draft("RGB", _size(booth))
        shown = opened.convert("RGB")
    shown.thumbnail(_size(booth), Pillow.Resampling.LANCZOS)
    ground = Pillow.new("RGB", _size(booth), shown.getpixel((0, 0)))
    ground.paste(shown, ((ground.width - shown.width) // 2, (ground.height - shown.height) // 2))
    file = BytesIO()
    ground.save(file, "PNG")
    return file.getvalue()


def _size(booth: Booth) -> tuple[int, int]:
    """Width and height of the samples of the sheet, in px."""
    sampling = sheets.suite(booth.session, booth.sheet).sampling
    return int(sampling["width_px"]), int(sampling["height_px"])


def _ticket(booth: Booth, pair: VotePair) -> str:
    return booth.seal("pair", pair.prompt_id, pair.seed, pair.left_id, pair.right_id, pair.repeats_id)


def _pair(booth: Booth, ticket: str) -> VotePair | None:
    parts = booth.unseal("pair", ticket, TURN_LASTS)
    return None if parts is None else VotePair(*parts)


def _needs_pair(booth: Booth, ticket: str) -> VotePair:
    pair = _pair(booth, ticket)
    if pair is None:
        raise Refused("This pair was not shown to you here, so there is nothing to vote on. Load the page again.")
    return pair


def _name(booth: Booth, picture: SinglePicture) -> str:
    return booth.seal("picture", picture.sample_id, picture.prompt_photo_id)


def _picture(booth: Booth, name: str, lasts: timedelta = TURN_LASTS) -> SinglePicture | None:
    parts = booth.unseal("picture", name, lasts)
    return None if parts is None else SinglePicture(*parts)


def _needs_picture(booth: Booth, name: str) -> SinglePicture:
    picture = _picture(booth, name)
    if picture is None:
        raise Refused("This picture was not shown to you here, so nothing can be said of it. Load the page again.")
    return picture


def _since(booth: Booth, token: str) -> float:
    """Seconds since a token was sealed: what a turn took where no script measured it."""
    return time.time() - sealing.sealed_at(booth.storage, token)


def _shown_again(booth: Booth, mode: Mode, ticket: str) -> VoteTurn | None:
    """The turn of a ticket that was handed out before."""
    if mode == "single":
        picture = _picture(booth, ticket)
        return None if picture is None else _turn_of_one(booth, picture, ticket)
    pair = _pair(booth, ticket)
    return None if pair is None else _turn_of_pair(booth, pair, ticket)


def _turn_of_pair(booth: Booth, pair: VotePair, ticket: str = "") -> VoteTurn | None:
    samples = voting.samples_of(booth.session, pair)
    if samples is None:
        return None
    pictures = [SinglePicture(sample_id=sample.id) for sample in samples]
    said = usable.said(booth.session, booth.voter, pictures)
    prompt = booth.session.get_one(Prompt, pair.prompt_id)
    shown = [_shown(booth, each, said[each]) for each in pictures]
    return VoteTurn(ticket or _ticket(booth, pair), prompt.text, shown)


def _turn_of_one(booth: Booth, picture: SinglePicture, ticket: str = "") -> VoteTurn | None:
    row = (
        booth.session.get(Sample, picture.sample_id)
        if picture.sample_id is not None
        else booth.session.get(PromptPhoto, picture.prompt_photo_id)
    )
    if row is None:
        return None
    said = usable.said(booth.session, booth.voter, [picture])[picture]
    shown = _shown(booth, picture, said, ticket)
    return VoteTurn(shown.name, booth.session.get_one(Prompt, row.prompt_id).text, [shown])


def _shown(booth: Booth, picture: SinglePicture, said: SaidOfPicture, name: str = "") -> ShownPicture:
    name = name or _name(booth, picture)
    width, height = _size(booth)
    return ShownPicture(name, f"{booth.here}/pictures/{name}", width, height, said.is_usable, sorted(said.failures))
