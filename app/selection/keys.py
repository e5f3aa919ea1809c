"""The keys of the filter language, each declared once: its column, its values, its facet and its words for people.

Adding one here adds it everywhere: to what a filter may say, to the SQL, to the sentence, and to the facet pane where
it has a title. `tests/selection/test_every_key.py` then wants to know what it means in plain Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from app.captions.token_counts import ENCODERS
from app.catalog import notes
from app.catalog.tables import Image
from app.review import rules
from app.selection import value_words
from app.selection.kinds import (
    NOTHING,
    Column,
    Key,
    Label,
    Measure,
    Number,
    OneOf,
    Part,
    Phrase,
    Range,
    Say,
    SomeOf,
    Widening,
    Words,
    YesNo,
    figure,
)
from app.selection.labelled import Labelled, said_of_labels
from app.selection.near import Inside, Like, Looks, Similar, Unlike
from app.selection.tables import UNCHECKED, PhotoIndex, PhotoText
from app.selection.value_words import BY
from app.selection.when import Period, When, Who, said


def alternatives(words: Sequence[Any]) -> str:
    """Alternatives in words: "a", "a or b", "a, b or c"."""
    return str(words[-1]) if len(words) == 1 else f"{', '.join(map(str, words[:-1]))} or {words[-1]}" if words else ""


def _decision(values: Sequence[Any], is_one: bool) -> str:
    return f"that {alternatives([(value_words.IS if is_one else value_words.ARE)[verdict] for verdict in values])}"


def _not_decision(values: Sequence[Any], is_one: bool) -> str:
    return f"that {'is' if is_one else 'are'} not {alternatives([value_words.NOT[verdict] for verdict in values])}"


def _background(values: Sequence[Any], is_one: bool) -> str:
    known = [background for background in values if background != "cannot tell"]
    unknown = ["a background that cannot be told"] if "cannot tell" in values else []
    return f"on {alternatives(([f'a {alternatives(known)} background'] if known else []) + unknown)}"


def _bounds(bounds: Range | None, what: str, above: str, below: str, between: str) -> str:
    """Bounds in words; `what` is measured, for where it cannot be told."""
    if bounds is None:
        return f"whose {what} cannot be told"
    if bounds.low is not None and bounds.high is not None:
        return between.format(figure(bounds.low), figure(bounds.high))
    return above.format(figure(bounds.low)) if bounds.low is not None else below.format(figure(bounds.high or 0.0))


def _fill(values: Sequence[Any], is_one: bool) -> str:
    side = "longest side filling"
    return _bounds(values[0], "fill", f"{side} more than {{}} %", f"{side} less than {{}} %", f"{side} {{}} to {{}} %")


def _of(what: str, unit: str = "") -> Say:
    """A measured value in words: "with a shadow above 4 L*"."""

    def say(values: Sequence[Any], is_one: bool) -> str:
        mark = f" {unit}" if unit else ""
        return _bounds(
            values[0],
            what.removeprefix("a ").removeprefix("an "),
            f"with {what} above {{}}{mark}",
            f"with {what} below {{}}{mark}",
            f"with {what} of {{}} to {{}}{mark}",
        )

    return say


def _measured(
    name: str, column: Column, what: str, unit: str, sample: Range, top: float, full: float, bottom: float = 0.0,
    end: float | None = None,
) -> Measure:  # fmt: skip
    """A measured value whose histogram people choose for the facet pane."""
    last = top if end is None else end
    low, high = figure(bottom or last / 10), figure(last / 2)
    return Measure(
        name=name,
        column=column,
        sample=(sample,),
        ends=("", ""),
        top=top,
        full=full,
        bottom=bottom,
        end=end,
        example=f"{low}..{high}, >{low} or <{high}",
        say=_of(what, unit),
    )


def _sized(
    name: str, column: Column, what: str, unit: str, sample: Range, top: float, end: float, per_unit: float = 1.0
) -> Measure:
    """A measure of the file: "more than 1024 px wide"."""
    words = f"{{}} {unit} {what}"
    return Measure(
        name=name, column=column, sample=(sample,), ends=("", ""), top=top, full=top * per_unit, end=end,
        example=f"{figure(top / 100)}..{figure(top / 10)}, >{figure(top / 100)} or <{figure(top / 10)}",
        say=lambda values, _: _bounds(
            values[0], f"{name}", f"more than {words}", f"less than {words}", f"{{}} to {words}"
        ),
    )  # fmt: skip


def _tokens(encoder: str, column: Column) -> Measure:
    """Tokens of the caption to a text encoder; not known where its tokenizer is not on the machine of the worker."""
    what, at_most = f"{ENCODERS[encoder]} tokens", 10_000.0
    return Measure(
        name=f"tokens_{encoder}", column=column, sample=(Range(low=77.0),), ends=("", ""), top=at_most, full=at_most,
        end=512.0, example="20..77, >77 or <256",
        say=lambda values, _: _bounds(
            values[0], f"number of {what}", f"with a caption of more than {{}} {what}",
            f"with a caption of less than {{}} {what}", f"with a caption of {{}} to {{}} {what}",
        ),
    )  # fmt: skip


_TOKENS_OF: Final[dict[str, Column]] = {
    "clip": PhotoIndex.tokens_clip, "t5": PhotoIndex.tokens_t5, "gemma": PhotoIndex.tokens_gemma,
    "qwen": PhotoIndex.tokens_qwen, "nano": PhotoIndex.tokens_nano,
}  # fmt: skip


def _when(name: str, column: Column, what: str, sample: Period, who: str = "") -> When:
    return When(name=name, column=column, sample=(sample,), instead=who, say=lambda values, _: said(values, what))


def _named(values: Sequence[Any], missing: str) -> str:
    return alternatives([missing if value is None else value for value in values])


def _noted(values: Sequence[Any], is_one: bool) -> str:
    return alternatives(["without a note" if n == NOTHING else f"noted as “{n.replace('-', ' ')}”" for n in values])


def _numbered(values: Sequence[Any]) -> str:
    if len(values) == 1:
        return f"photo {values[0]}"
    return f"photos {alternatives(values)}" if len(values) < 4 else f"{len(values)} photos"


def _copies(values: Sequence[Any], is_one: bool) -> str:
    return alternatives([value_words.COPIES[value] for value in values])


def _has(values: Sequence[Any], is_one: bool) -> str:
    some = [value_words.KINDS[kind] for kind in values if kind != NOTHING]
    nothing = ["without a caption of any kind"] if NOTHING in values else []
    return alternatives([*([f"with {alternatives(some)}"] if some else []), *nothing])


def _lacks(values: Sequence[Any], is_one: bool) -> str:
    some = [value_words.KINDS[kind] for kind in values if kind != NOTHING]
    nothing = ["with a caption of some kind"] if NOTHING in values else []
    return " and ".join([*([f"without {alternatives(some)}"] if some else []), *nothing])


def _said_in(caption: str) -> Say:
    """Words in a caption of one kind: "with “red shoe” in the short caption"."""
    return lambda values, _: f"with {alternatives(_in_quotes(values))} in the {caption}"


def _in_quotes(values: Sequence[Any]) -> list[str]:
    return [f"“{value}”" for value in values]


_DECLARED: Final[tuple[Key, ...]] = (
    OneOf(
        name="decision", title="Decision", column=PhotoIndex.verdict, sample=("kept", "unseen"),
        choices={"kept": "Kept", "rejected": "Rejected", "needs_work": "Needs work", "unseen": "Not seen yet"},
        say=_decision, say_left_out=_not_decision,
        # People's decisions; asked for rules, also what they suggest of photos that no person has seen.
        widening=Widening("by", "rule", PhotoIndex.suggested),
    ),
    OneOf(
        name="by", title="Decided by", column=PhotoIndex.decided_by, sample=("rule",),
        choices={"person": "A person", "rule": "Only a rule suggests", "none": "Nobody"},
        say=lambda values, _: alternatives([BY[author] for author in values]),
    ),
    OneOf(
        name="rule", title="Suggested by rules", column=PhotoIndex.rule, sample=("blurred",),
        choices={name: value_words.RULES[name] for name in rules.NAMES},
        say=lambda values, _: f"found {alternatives(values)} by a rule",
    ),
    OneOf(
        name="background", title="Background", column=PhotoIndex.background, sample=("white", "plain"),
        choices={"white": "White", "plain": "Plain", "scene": "Scene", "cannot tell": "Cannot tell"},
        say=_background,
    ),
    Label(
        name="backdrop", title="Background colour", column=PhotoIndex.background_colour, sample=("pale blue",),
        spelling=PhotoIndex.background_colour, missing="Cannot tell", is_closed=True,
        say=lambda values, _: f"on {_named(values, 'a ground of unknown colour')}",
    ),
    OneOf(
        name="cropped", title="Cropped", column=PhotoIndex.cropped, sample=("yes",), is_closed=True,
        choices={"yes": "Cropped", "no": "Whole", "cannot tell": "Cannot tell"},
        say=lambda values, _: alternatives([value_words.CROPPED[value] for value in values]),
    ),
    Measure(
        name="sharpness", title="Subject sharpness", column=PhotoIndex.sharpness, sample=(Range(low=0.4),),
        ends=("soft", "sharp"),
        say=lambda values, _: _bounds(
            values[0], "sharpness", "sharper than {}", "softer than {}", "of sharpness {} to {}"
        ),
    ),
    Measure(
        name="fill", title="Longest-side fill", column=PhotoIndex.fill, sample=(Range(75.0, 96.0),),
        ends=("0 %", "100 %"), top=100.0, example="75..96, >75 or <96",
        say=_fill,
    ),
    Label(
        name="category", title="Category", column=PhotoIndex.category_key, sample=("lamps", "T-shirts"),
        spelling=PhotoIndex.category, missing="No category",
        say=lambda values, _: f"in {_named(values, 'no category')}",
    ),
    Label(
        name="colour", title="Subject colour", column=PhotoIndex.colour, sample=("red",),
        spelling=PhotoIndex.colour, missing="Cannot tell", is_closed=True,
        say=lambda values, _: f"with a {_named(values, 'unknown')} subject",
    ),
    OneOf(
        name="caption", title="Caption", column=PhotoIndex.captioned_by, sample=("none",),
        choices={
            "none": "No caption", "captioner": "By a captioner", "given": "Given in a file", "person": "By a person",
        },
        say=lambda values, _: alternatives([value_words.CAPTIONS[value] for value in values]),
    ),
    SomeOf(
        name="has", title="Kinds of captions", column=PhotoIndex.kinds, sample=("short",), is_closed=True,
        choices={
            "long": "Caption", "short": "Short caption", "tags": "Tags", "facts": "Facts caption", NOTHING: "None",
        },
        say=_has, say_left_out=_lacks,
    ),
    *(
        Phrase(name=kind, column=column, sample=sample, say=_said_in(words))
        for kind, words, column, sample in (
            ("long", "caption", PhotoText.of_caption, ("enamel",)),
            ("short", "short caption", PhotoText.of_short, ("red shoe",)),
            ("tags", "tags", PhotoText.of_tags, ("leather",)),
            ("facts", "facts caption", PhotoText.of_facts, ("cotton",)),
        )
    ),
    SomeOf(
        name="lint", title="In captions better changed", column=PhotoIndex.lints, sample=("hedging",), is_closed=True,
        choices={
            "any": "Anything", "banned": "A banned phrase", "hedging": "Hedging", "spelling": "A slip of spelling",
            "printed": "Not what the photo says", UNCHECKED: "Not looked at yet", NOTHING: "Nothing",
        },
        say=lambda values, _: alternatives([value_words.LINT[value] for value in values]),
    ),
    YesNo(
        name="contradicted", column=PhotoIndex.is_contradicted, sample=("yes",),
        say=lambda values, _: alternatives([value_words.CONTRADICTED[value] for value in values]),
    ),
    OneOf(
        name="lettering", title="Text in the picture", column=PhotoIndex.lettering, sample=("beside",), is_closed=True,
        choices={
            "beside": "Beside the product", "product": "On the product", "cannot tell": "Cannot tell where",
            "none": "None", "not read": "Not read yet",
        },
        say=lambda values, _: alternatives([value_words.LETTERING[value] for value in values]),
    ),
    SomeOf(
        name="note", title="Noted at intake", column=Image.notes, sample=("laid-on-white",), is_closed=True,
        choices={NOTHING: "No note"} | {name: value_words.NOTES[name] for name in notes.NAMES},
        say=_noted,
    ),
    OneOf(
        name="copies", column=Image.copies, sample=("photo",),
        choices={"pixels": "Same pixels", "photo": "Same photo", "product": "Same product", NOTHING: "No duplicate"},
        say=_copies,
    ),
    YesNo(
        name="linked", column=Image.is_linked, sample=("yes",),
        say=lambda values, _: alternatives([value_words.LINKED[value] for value in values]),
    ),
    YesNo(
        name="best", column=Image.is_best, sample=("yes",),
        say=lambda values, _: alternatives([value_words.BEST[value] for value in values]),
    ),
    YesNo(
        name="mended", column=Image.is_mended, sample=("yes",),
        say=lambda values, _: alternatives([value_words.MENDED[value] for value in values]),
    ),
    Label(
        name="product", column=Image.product_key, sample=("K-12",), spelling=Image.product,
        say=lambda values, _: f"of product {_named(values, 'unknown')}",
    ),
    Label(
        name="licence", column=Image.licence_key, sample=("CC BY 4.0",), spelling=Image.licence,
        say=lambda values, _: f"under {_named(values, 'no known licence')}",
    ),
    OneOf(
        name="optout", column=Image.opt_out, sample=("yes",),
        choices={"yes": "Opted out of training", "no": "Not opted out"},
        say=lambda values, _: alternatives([value_words.OPTED_OUT[value] for value in values]),
    ),
    Part(
        name="source", column=Image.source_key, sample=("example.com",),
        say=lambda values, _: f"with {alternatives(_in_quotes(values))} in the source",
    ),
    Part(
        name="file", column=Image.file_key, sample=("front",),
        say=lambda values, _: f"with {alternatives(_in_quotes(values))} in the file name",
    ),
    Similar(
        name="similar", column=PhotoIndex.image_id, sample=(12,),
        say=lambda values, _: f"similar to {_numbered(values)}",
    ),
    Like(
        name="like", column=PhotoIndex.image_id, sample=(12, 15),
        say=lambda values, _: f"more like {_numbered(values)}",
    ),
    Unlike(
        name="unlike", column=PhotoIndex.image_id, sample=(18,),
        say=lambda values, _: f"not like {_numbered(values)}",
        say_left_out=lambda values, _: f"like {_numbered(values)}",
    ),
    Looks(
        name="looks", column=PhotoIndex.image_id, sample=("red dress on a hanger",),
        say=lambda values, _: f"looking like {alternatives(_in_quotes(values))}",
    ),
    Inside(
        name="in", column=PhotoIndex.image_id, sample=("lasso-3",),
        say=lambda values, _: f"inside {alternatives(values)} of the map",
    ),
    Labelled(
        name="label", column=PhotoIndex.labels, sample=("fit=slim", "fit=wide", "view=front"),
        say=lambda values, _: said_of_labels(values), say_left_out=lambda values, _: said_of_labels(values, True),
    ),
    Phrase(
        name="text", column=PhotoText.of_picture, sample=("organic",),
        say=lambda values, _: f"with {alternatives(_in_quotes(values))} written in the picture",
    ),
    SomeOf(
        name="writing", title="Kinds of text", column=PhotoIndex.writing, sample=("price",), is_closed=True,
        choices={"price": "A price", "watermark": "A watermark", "text": "Other text", NOTHING: "None"},
        say=lambda values, _: alternatives([value_words.WRITING[value] for value in values]),
    ),
    _measured("contrast", PhotoIndex.contrast, "a contrast", "ΔE", Range(high=3.0), 100.0, 100.0),
    _measured("outline", PhotoIndex.confidence, "an outline confidence", "", Range(high=0.5), 1.0, 1.0),
    _measured("brightness", PhotoIndex.brightness, "a subject brightness", "L*", Range(high=20.0), 100.0, 100.0),
    _measured("clipped", PhotoIndex.clipped_light, "a share clipped to white", "%", Range(low=5.0), 100.0, 1.0),
    _measured("crushed", PhotoIndex.clipped_dark, "a share clipped to black", "%", Range(low=5.0), 100.0, 1.0),
    _measured("shadow", PhotoIndex.shadow, "a contact shadow", "L*", Range(low=5.0), 100.0, 100.0),
    _measured("chroma", PhotoIndex.chroma, "a colourfulness", "C*", Range(high=3.0), 134.0, 134.0),
    _measured("blockiness", PhotoIndex.blockiness, "JPEG blocks", "", Range(low=0.43), 1.0, 1.0),
    _measured("detail", PhotoIndex.detail, "detail", "", Range(high=0.6), 1.0, 1.0),
    _measured("border", PhotoIndex.border, "a border", "% of the side", Range(low=1.0), 100.0, 1.0),
    _measured("seam", PhotoIndex.seam, "a seam", "% of the frame", Range(low=70.0), 100.0, 1.0),
    _measured("parts", PhotoIndex.parts, "separate parts", "", Range(low=1.0), 20.0, 20.0),
    _measured("coverage", PhotoIndex.coverage, "a coverage", "% of the frame", Range(high=10.0), 100.0, 1.0),
    _measured("offsetx", PhotoIndex.offset_x, "an offset to the right", "%", Range(-5.0, 5.0), 50.0, 0.5, -50.0),
    _measured("offsety", PhotoIndex.offset_y, "an offset down", "%", Range(-5.0, 5.0), 50.0, 0.5, -50.0),
    _measured("offwhite", PhotoIndex.background_delta_e, "a background off white", "ΔE", Range(low=3.5), 100.0, 100.0),
    _measured("whiteness", PhotoIndex.whiteness, "a pure white", "% of the background", Range(high=95.0), 100.0, 1.0),
    _measured("uniformity", PhotoIndex.uniformity, "a background’s uniformity", "", Range(high=0.8), 1.0, 1.0),
    _measured("textshare", PhotoIndex.text_share, "a share of text", "% of the frame", Range(low=2.0), 100.0, 1.0),
    _measured("apart", PhotoIndex.apart, "a distance to what looks most like them", "", Range(low=0.9), 2.0, 2.0),
    _sized("width", Image.width_px, "wide", "px", Range(low=1024.0), 100_000.0, 4_000.0),
    _sized("height", Image.height_px, "high", "px", Range(low=1024.0), 100_000.0, 4_000.0),
    _sized("longside", PhotoIndex.longest_px, "on the longest side", "px", Range(low=1024.0), 100_000.0, 4_000.0),
    _sized("shortside", PhotoIndex.shortest_px, "on the shortest side", "px", Range(low=512.0), 100_000.0, 4_000.0),
    _sized("size", Image.size_bytes, "large", "MB", Range(low=2.5), 10_000.0, 10.0, per_unit=1_000_000.0),
    _measured("ratio", Image.ratio, "a width to height", "", Range(0.9, 1.1), 1_000.0, 1_000.0, end=4.0),
    _measured(
        "captionlength", PhotoIndex.caption_characters, "a caption", "characters", Range(high=40.0), 4e3, 4e3, end=400.0
    ),
    _measured("captionwords", PhotoIndex.caption_words, "a caption", "words", Range(5.0, 60.0), 4e3, 4e3, end=80.0),
    *(_tokens(name, column) for name, column in _TOKENS_OF.items()),
    _when("taken", Image.taken_in_at, "taken in", Period(name="week")),
    _when("decided", PhotoIndex.decided_at, "decided", Period(name="today"), "decider"),
    _when("captioned", PhotoIndex.captioned_at, "captioned", Period(date(2026, 11, 1), date(2026, 11, 30)), "author"),
    Who(
        name="decider", column=PhotoIndex.decider_id, sample=("ana",),
        say=lambda values, _: f"decided by {_named(values, 'nobody')}",
    ),
    Who(
        name="author", column=PhotoIndex.author_id, sample=("ana@example.com",),
        say=lambda values, _: f"with a caption by {_named(values, 'no person')}",
    ),
    Who(
        name="assigned", column=PhotoIndex.assignee_id, sample=("ana",),
        say=lambda values, _: f"assigned to {_named(values, 'nobody')}",
    ),
    Number(
        name="id", column=PhotoIndex.image_id, sample=(12, 15),
        say=lambda values, _: "chosen one by one",
    ),
)  # fmt: skip
WORDS: Final = Words(
    name="words",
    sample=("red", "dress"),
    column=PhotoText.words,
    say=lambda values, _: f"mentioning {' and '.join(_in_quotes(values))}",
    say_left_out=lambda values, _: f"not mentioning {alternatives(_in_quotes(values))}",
)
KEYS: Final = {key.name: key for key in _DECLARED}
# Everything that can be asked, in the order in which it is written: words stand behind the keys.
ASKED: Final = KEYS | {WORDS.name: WORDS}
# Facets: those with a list of values of which a photo has one, or several, and those with a histogram.
LISTED: Final = {
    name: key
    for name, key in KEYS.items()
    if key.title and isinstance(key, OneOf | Label) and not isinstance(key, SomeOf)
}
SEVERAL: Final = {name: key for name, key in KEYS.items() if key.title and isinstance(key, SomeOf)}
# Everything that a histogram can show, and those that a browser shows before somebody chooses others.
MEASURES: Final = {name: key for name, key in KEYS.items() if isinstance(key, Measure)}
MEASURED: Final = {name: key for name, key in MEASURES.items() if key.title}
