"""One photo with everything that is known about it, for the catalog's detail pane and for the desk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.orm import Session

from app.captions import checking, dictionary, naming_history, word_lists
from app.captions.colour_words import words_of
from app.captions.lint import Lint, lint
from app.captions.rules import CaptionClaim, Kind
from app.captions.tables import CaptionText, CaptionTokens, NamingRule
from app.captions.token_counts import ENCODERS
from app.catalog import corrections, embeddings, lettering, notes, reading, rights, text_kinds
from app.catalog import signals as measured
from app.catalog.correction_tables import Correction
from app.catalog.measures import OF_FILE, SCALES, Scale
from app.catalog.tables import Image, Lettering, Signals
from app.labels import giving
from app.labels.giving import Said
from app.review import decisions, rule_sets
from app.review.rules import RuleSettings
from app.review.tables import Decision
from app.selection import browse, maps
from app.selection.browse import Tile
from app.web.views import evidence, kinds
from app.web.views.evidence import KIND_WORDS, Evidence
from app.web.views.kinds import KindPanel
from app.web.views.labels import LabelStrip, strips

# Where a gauge ends: offsets and colour differences beyond these are as bad as it gets.
OFFSET_END: Final = 0.25
DELTA_E_END: Final = 40.0
SIMILAR: Final = 5


@dataclass(frozen=True)
class Gauge:
    """One signal: its value in words, its place 0..1 on the line (None: cannot tell), the limit, whether it fits."""

    name: str
    value: str
    share: float | None
    limit: float | None = None
    fits: bool | None = None


# By the kind of a claim, the signal whose evidence is drawn over the photo (`evidence.OVERLAYS`).
_SHOWN_BY: Final[dict[Kind, str]] = {
    "colour": "colour", "background": "backdrop", "framing": "offsetx", "count": "parts", "text": "lettering",
}  # fmt: skip


@dataclass(frozen=True)
class Claims:
    """What a text claims of its picture: `compared` is all that could be held against it, what the picture contradicts
    first; of `cannot_tell` nobody knows. `is_written` where there is a text at all. `lints` are what else the text is
    better without."""

    is_written: bool
    compared: tuple[CaptionClaim, ...]
    cannot_tell: tuple[Kind, ...] = ()
    lints: tuple[Lint, ...] = ()

    @property
    def findings(self) -> tuple[CaptionClaim, ...]:
        """What the picture contradicts."""
        return tuple(claim for claim in self.compared if claim.is_contradicted)

    def shown_by(self, claim: CaptionClaim) -> str:
        """The signal whose evidence shows why."""
        if claim.kind == "framing" and "cropped" in f"{claim.says} {claim.measured}":
            return "cropped"
        if claim.kind == "framing" and claim.says in ("close up", "small in the frame"):
            return "fill"
        return _SHOWN_BY[claim.kind]


@dataclass(frozen=True)
class PhotoFact:
    """What the catalogue says of a photo, or a person in its place: `seen` is that correction's number, 0: none."""

    name: str
    value: str
    seen: int


@dataclass(frozen=True)
class Photo:
    """A photo, what was measured, its captions of every kind (`panels`, the long ones first) and decisions (newest
    first) with authors. `caption` is the long one that stands.
    `similar` are those that look most like it, the nearest first.

    `named` is the rule by which the caption names the product from the file's name, and who accepted it; `tokens` are
    those of the caption.

    Where it `is_unseen`, in a blind pass, it tells nothing of who or what was there before.
    While a rule's `suggestion` stands, no person has decided: `decision` is None then. `claims` are the caption's.
    """

    image: Image
    signals: Signals | None
    caption: CaptionText | None
    author: str
    claims: Claims
    panels: tuple[KindPanel, ...]
    decision: Decision | None
    suggestion: Decision | None
    decisions: tuple[tuple[Decision, str], ...]
    gauges: tuple[Gauge, ...]
    same_product: Sequence[Image]
    similar: Sequence[Tile]
    is_embedded: bool
    lettering: Lettering | None
    evidence: Evidence
    labels: tuple[LabelStrip, ...] = ()
    said: tuple[Said, ...] = ()
    facts: tuple[PhotoFact, ...] = ()
    corrections: tuple[tuple[Correction, str], ...] = ()
    named: tuple[NamingRule, str] | None = None
    tokens: CaptionTokens | None = None
    is_unseen: bool = False

    @property
    def tokens_said(self) -> str:
        """How many tokens the caption is to each text encoder whose tokenizer is here; empty without a caption."""
        if self.caption is None:
            return ""
        if self.tokens is None:
            return "Tokens not counted yet"
        counts = self.tokens.counts
        each = ", ".join(f"{counts[name]:,} {title}" for name, title in ENCODERS.items() if name in counts)
        return f"Tokens: {each or 'cannot tell, no tokenizer is on this machine'}"

    @property
    def name(self) -> str:
        """What to call the photo."""
        return decisions.name_of(self.image)

    @property
    def notes(self) -> list[str]:
        """What intake had to assume, in sentences."""
        return [sentence for note, sentence in notes.SENTENCES.items() if note in self.image.notes]

    @property
    def opt_out(self) -> str:
        """The words by which the photo's owner opted out of training; empty where nobody did."""
        return rights.opt_out_said(self.image.extra)

    @property
    def source_address(self) -> str | None:
        """The photo's source where it is a web address."""
        source = self.image.source or ""
        return source if source.lower().startswith(("http://", "https://")) else None

    @property
    def measures(self) -> tuple[tuple[Scale, float | None], ...]:
        """Everything that was measured, with what each runs from and to; of the file alone before that."""
        of_file = tuple((scale, getattr(self.image, scale.column)) for scale in OF_FILE)
        if self.signals is None:
            return of_file
        return tuple((scale, getattr(self.signals, scale.column)) for scale in SCALES) + of_file

    @property
    def printed(self) -> list[str]:
        """The lines of text that stand in the picture."""
        return self.lettering.words.splitlines() if self.lettering else []

    @property
    def printed_kinds(self) -> str:
        """What kinds of text stand in the picture, in words; empty where none was read."""
        kinds = self.lettering.kinds if self.lettering else []
        return ", ".join(KIND_WORDS[kind] for kind in text_kinds.KINDS if kind in kinds)

    def unseen(self) -> Photo:
        """It, as for somebody who shall not see what was decided, nor who or what wrote, labelled or corrected."""
        return replace(
            self,
            author="",
            panels=tuple(panel.unseen() for panel in self.panels),
            decision=None,
            suggestion=None,
            decisions=(),
            labels=tuple(strip.unseen() for strip in self.labels),
            said=(),
            corrections=(),
            named=None,
            is_unseen=True,
        )

    @property
    def decision_id(self) -> int:
        """The decision or suggestion that stands, 0 without either: what somebody who decides now has seen."""
        latest = self.decision or self.suggestion
        return latest.id if latest is not None else 0

    @property
    def description(self) -> str:
        """What a reader of the page who does not see the picture is told."""
        return self.caption.text if self.caption else self.name


def read(session: Session, image_id: int, is_compared: bool = False) -> Photo:
    """Everything about one photo; `is_compared`: and what looks like it, which costs a search. Raises NotFound."""
    image = reading.shown(session, image_id)
    signals, read_text = measured.of(session, image_id), lettering.of(session, image_id)
    panels = kinds.read(session, image_id)
    current = panels[0].current
    caption, author = (current.caption, current.author) if current is not None else (None, "")
    history = tuple(decisions.history(session, image_id))
    latest = next((decision for decision, _ in history if decision.superseded_at is None), None)
    is_suggested = latest is not None and latest.is_suggestion
    return Photo(
        image=image,
        signals=signals,
        caption=caption,
        author=author,
        claims=claims_of(session, image, signals, read_text, caption.text if caption else ""),
        panels=panels,
        decision=None if is_suggested else latest,
        suggestion=latest if is_suggested else None,
        decisions=history,
        gauges=gauges(signals, rule_sets.settings_of(session, image.catalog_id)),
        same_product=reading.of_same_product(session, image),
        similar=_similar(session, image) if is_compared else (),
        is_embedded=embeddings.is_embedded(session, image_id),
        lettering=read_text,
        evidence=evidence.read(image, signals, read_text, maps.apart_of(session, image_id)),
        labels=strips(session, image.catalog_id, image_id),
        said=tuple(giving.history(session, image_id)),
        facts=_facts(session, image),
        corrections=tuple(corrections.history(session, image_id)),
        named=_named(session, image, caption),
        tokens=session.get(CaptionTokens, caption.id) if caption is not None else None,
    )


def _named(session: Session, image: Image, caption: CaptionText | None) -> tuple[NamingRule, str] | None:
    key = caption.settings.get("naming") if caption is not None and caption.written_by == "captioner" else None
    if key is None:
        return None
    history = naming_history.history(session, image.catalog_id)
    return next(((row, person) for row, person in history if row.rule == key), None)


def _facts(session: Session, image: Image) -> tuple[PhotoFact, ...]:
    """What can be corrected: the fields, further columns, and what a person took away."""
    latest = corrections.current(session, image.id)
    further = [name for name in dict.fromkeys([*image.extra, *latest]) if not rights.is_of_rights(name)]
    names = dict.fromkeys([*corrections.FIELDS, *further])
    return tuple(
        PhotoFact(name, corrections.value_of(image, name) or "", latest[name].id if name in latest else 0)
        for name in names
    )


def _similar(session: Session, image: Image) -> list[Tile]:
    return browse.tiles(session, browse.alike(session, image.catalog_id, image.id, SIMILAR))


def claims_of(
    session: Session, image: Image, signals: Signals | None, read_text: Lettering | None, text: str
) -> Claims:
    """A text held against what was measured of its picture, against the words of its catalog and what is printed."""
    if not text.strip():
        return Claims(is_written=False, compared=())
    compared = checking.claims(signals, read_text, image, text)
    contradicted_first = tuple(sorted(compared, key=lambda claim: not claim.is_contradicted))
    lints = _lints(session, image, read_text, text)
    if any(claim.kind == "text" and claim.is_contradicted for claim in compared):
        lints = [each for each in lints if each.kind != "printed"]  # it is told already
    return Claims(True, contradicted_first, checking.cannot_tell(image, text, compared), tuple(lints))


def _lints(session: Session, image: Image, read_text: Lettering | None, text: str) -> list[Lint]:
    of_catalogue = (image.title, image.category, image.description, image.product)
    own = (
        *word_lists.current(session, image.catalog_id, "locked"),
        *word_lists.current(session, image.catalog_id, "known"),
    )
    accepted = {word for words in (*of_catalogue, *own) if words for word in words_of(words)}
    banned = word_lists.current(session, image.catalog_id, "banned")
    return lint(text, banned, accepted, read_text.words.splitlines() if read_text else (), dictionary.meant)


def gauges(signals: Signals | None, settings: RuleSettings) -> tuple[Gauge, ...]:
    """The signals that pages show, with the limits of the catalog's rules; nothing before they were measured."""
    if signals is None:
        return ()
    offset = None if signals.offset_x is None else max(abs(signals.offset_x), abs(signals.offset_y or 0.0))
    line = settings.blurred_below if settings.is_on("blurred") else None
    is_sure = signals.confidence >= settings.unsure_below
    return (
        _gauge("Sharpness", signals.sharpness, 1.0, "{:.2f}", limit=line, is_judged=is_sure),
        _gauge("Fill, longest side", signals.fill, 1.0, "{:.0%}"),
        _gauge("Centre offset", offset, OFFSET_END, "{:.1%}"),
        _gauge("Background ΔE", signals.background_delta_e, DELTA_E_END, "{:.1f}"),
        _gauge("Coverage", signals.coverage, 1.0, "{:.0%}"),
    )


def _gauge(
    name: str, value: float | None, end: float, form: str, limit: float | None = None, is_judged: bool = True
) -> Gauge:
    if value is None:
        return Gauge(name, "cannot tell", None)
    share = min(max(value / end, 0.0), 1.0)
    fits = value >= limit if limit is not None and is_judged else None
    return Gauge(name, form.format(value).replace("%", " %"), share, limit, fits)
