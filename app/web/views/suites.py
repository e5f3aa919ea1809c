"""The pages of suites: the list, one version, its editor, and the product suite before it is made."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from app.catalog import reading
from app.catalog.reading import CatalogRow
from app.catalog.tables import Catalog
from app.errors import Refused
from app.evaluation import hold_out, suite_changes, suite_editing, suite_files, suite_lists, suites, tiers
from app.evaluation.catalog_products import ProductsOf
from app.evaluation.hold_out import HoldOutOpening
from app.evaluation.product_suite import SEEDS, FilledSuite
from app.evaluation.prompt_texts import PromptText, atoms_in_words, atoms_of
from app.evaluation.suite_changes import SuiteChanges
from app.evaluation.suite_files import SuiteDraft
from app.evaluation.suite_lists import ListedVersion
from app.evaluation.tables import Prompt, Sheet, Suite
from app.evaluation.tiers import TIERS
from app.people import Person

EMPTY_ROWS: Final = 3
SETTINGS: Final = (("steps", "Steps"), ("guidance", "Guidance"), ("width_px", "Width, px"), ("height_px", "Height, px"))
TIER_WORDS: Final = tuple((tier, tiers.name_of(tier)) for tier in TIERS)
_SEEN: Final[dict[str, bool | None]] = {"seen": True, "unseen": False, "": None}


@dataclass(frozen=True)
class SuitesView:
    """The suites with their versions; of one catalog where `catalog` is set."""

    suites: list[list[ListedVersion]]
    catalog: Catalog | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A prompt of the list, with its atoms in words and the real photos beside it."""

    prompt: Prompt
    atoms: str
    photos: Sequence[int]
    is_opened: bool


@dataclass(frozen=True, slots=True)
class CategoryOfSuite:
    """The prompts of a category."""

    name: str
    rows: list[PromptRow]


@dataclass(frozen=True)
class SuiteView:
    """One version of a suite. `hidden`: so many held-out prompts are not shown. `changes` are those since `before`."""

    suite: Suite
    catalog: Catalog | None
    versions: Sequence[Suite]
    categories: list[CategoryOfSuite]
    by_tier: dict[str, int]
    pictures: int
    with_photos: int
    hidden: int
    held_out: int
    openings: list[HoldOutOpening]
    sheets: list[tuple[Sheet, str]]
    before: Suite | None
    changes: SuiteChanges | None


@dataclass(frozen=True, slots=True)
class EditedPrompt:
    """A row of the editor, as it is typed."""

    text: str = ""
    category: str = ""
    tier: str = "full"
    weight: str = "1"
    seen: str = ""
    atoms: str = ""


@dataclass(frozen=True)
class EditSuiteView:
    """The editor: rows as they are typed, and what of it was refused. `expected` is the newest version it knows of."""

    suite: Suite
    expected: int
    rows: list[EditedPrompt]
    seeds: str
    sampling: dict[str, str]
    categories: list[str]
    hidden: int
    refusal: str = ""
    settings: tuple[tuple[str, str], ...] = SETTINGS
    tiers: tuple[tuple[str, str], ...] = TIER_WORDS


@dataclass(frozen=True)
class NewSuiteView:
    """The product suite of a catalog before it is made; without a catalog, the catalogs to choose from."""

    catalogs: list[CatalogRow]
    catalog: Catalog | None
    products: ProductsOf | None
    filled: FilledSuite | None
    categories: list[tuple[str, list[PromptText]]]
    name: str
    sampling: dict[str, str]
    refusal: str = ""
    seeds: tuple[int, ...] = SEEDS
    settings: tuple[tuple[str, str], ...] = SETTINGS


def list_of(session: Session, catalog_id: int | None, refusal: str = "") -> SuitesView:
    """The list. Raises NotFound for an unknown catalog."""
    catalog = reading.get(session, catalog_id) if catalog_id is not None else None
    return SuitesView(suite_lists.listed(session, catalog_id), catalog, refusal)


def read(session: Session, suite_id: int, me: Person, title_of: Callable[[Sheet], str]) -> SuiteView:
    """One version. Raises NotFound."""
    suite = suites.get(session, suite_id)
    everything, shown = suites.prompts_of(session, suite), hold_out.shown(session, suite, me)
    versions = suites.versions_of(session, suite.name)
    before = next((each for each in versions if each.version < suite.version), None)
    photos = suite_lists.photos_of(session, suite)
    piles: dict[str, list[PromptRow]] = defaultdict(list)
    for prompt in shown:
        row = PromptRow(
            prompt, atoms_in_words(prompt.atoms), photos.get(prompt.id, ()), prompt.tier == hold_out.HOLD_OUT
        )
        piles[prompt.category].append(row)
    by_tier = Counter(prompt.tier for prompt in everything)
    return SuiteView(
        suite=suite,
        catalog=_catalog(session, suite.catalog_id),
        versions=versions,
        categories=[CategoryOfSuite(name, rows) for name, rows in piles.items()],
        by_tier={tiers.name_of(tier): by_tier[tier] for tier in TIERS if by_tier[tier]},
        pictures=tiers.picture_count([prompt.tier for prompt in everything], len(suite.seeds), "full"),
        with_photos=sum(1 for prompt in shown if prompt.id in photos),
        hidden=len(everything) - len(shown),
        held_out=by_tier[hold_out.HOLD_OUT],
        openings=hold_out.openings(session, suite),
        sheets=[(sheet, title_of(sheet)) for sheet in suite_lists.sheets_of(session, suite)],
        before=before,
        changes=_changes(session, before, suite, me) if before else None,
    )


def editor(session: Session, suite_id: int, me: Person) -> EditSuiteView:
    """The editor of a version. Raises NotFound."""
    suite = suites.get(session, suite_id)
    shown = hold_out.shown(session, suite, me)
    rows = [
        EditedPrompt(p.text, p.category, p.tier, f"{p.weight:g}", _seen(p.is_seen), atoms_in_words(p.atoms))
        for p in shown
    ]
    newest = suites.newest(session, suite.name) or suite
    sampling = {name: str(suite.sampling.get(name, "")) for name, _ in SETTINGS}
    return _editor(session, suite, me, newest.version, rows, " ".join(map(str, suite.seeds)), sampling)


def typed(session: Session, suite: Suite, me: Person, sent: FormData, refusal: str) -> EditSuiteView:
    """The editor as it was sent, with what is wrong; it knows of the newest version now, and saves over it."""
    newest = suites.newest(session, suite.name) or suite
    sampling = {name: str(sent.get(name, "")) for name, _ in SETTINGS}
    return _editor(session, suite, me, newest.version, _rows(sent), str(sent.get("seeds", "")), sampling, refusal)


def draft(session: Session, suite: Suite, me: Person, sent: FormData) -> SuiteDraft:
    """What the editor sent, as a draft: rows in their order, those without a text left out. Raises Refused."""
    base = {prompt.text: suites.text_of(prompt) for prompt in hold_out.shown(session, suite, me)}
    prompts = []
    for number, row in enumerate(_rows(sent), start=1):
        if row.text.strip():
            try:
                prompts.append(_prompt(row, base.get(row.text)))
            except Refused as refusal:
                raise Refused(f"Prompt {number}: {refusal.sentence}") from None
    return suite_files.draft_of(prompts, _seeds(str(sent.get("seeds", ""))), sampling_of(sent, suite.sampling))


def expected(sent: FormData) -> int:
    """The newest version that the editor knew of."""
    word = str(sent.get("expected", ""))
    return int(word) if word.isascii() and word.isdigit() and len(word) < 9 else 0


def new(session: Session, catalog_id: int | None, sent: FormData | None = None, refusal: str = "") -> NewSuiteView:
    """The product suite of a catalog, filled. Raises NotFound."""
    if catalog_id is None:
        return NewSuiteView(reading.everything(session), None, None, None, [], "", {}, refusal)
    catalog = reading.get(session, catalog_id)
    products, filled = None, None
    try:
        products, filled = suite_editing.filled(session, catalog)
    except Refused as why:
        refusal = refusal or why.sentence
    piles: dict[str, list[PromptText]] = defaultdict(list)
    for prompt in filled.prompts if filled else ():
        if prompt.tier != hold_out.HOLD_OUT:
            piles[prompt.category].append(prompt)
    usual = suite_editing.usual_sampling(session, catalog_id)
    sampling = {name: str(sent.get(name, "")) if sent else str(usual[name]) for name, _ in SETTINGS}
    name = str(sent.get("name", "")) if sent else f"{catalog.name}, products"
    return NewSuiteView([], catalog, products, filled, list(piles.items()), name, sampling, refusal)


def sampling_of(sent: FormData, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """The sampling settings that were sent, beside those that no field stands for. Raises Refused."""
    sampling = dict(base or {})
    for name, word in SETTINGS:
        value = _number(str(sent.get(name, "")), word)
        if sampling.get(name) != value:
            sampling[name] = int(value) if name != "guidance" and value == int(value) else value
    return sampling


def _changes(session: Session, before: Suite, suite: Suite, me: Person) -> SuiteChanges:
    drafts = [suite_editing.draft_of(session, each, hold_out.shown(session, each, me)) for each in (before, suite)]
    return suite_changes.compare(*drafts)


def _catalog(session: Session, catalog_id: int | None) -> Catalog | None:
    """The catalog of a suite; None where it has none, or it was removed."""
    is_there = catalog_id is not None and not reading.is_removed(session, catalog_id)
    return reading.get(session, catalog_id) if catalog_id is not None and is_there else None


def _editor(
    session: Session,
    suite: Suite,
    me: Person,
    newest: int,
    rows: list[EditedPrompt],
    seeds: str,
    sampling: dict[str, str],
    refusal: str = "",
) -> EditSuiteView:
    hidden = len(suites.prompts_of(session, suite)) - len(hold_out.shown(session, suite, me))
    categories = list(dict.fromkeys(row.category for row in rows if row.category))
    padded = [*rows, *(EditedPrompt() for _ in range(EMPTY_ROWS))]
    return EditSuiteView(suite, newest, padded, seeds, sampling, categories, hidden, refusal)


def _rows(sent: FormData) -> list[EditedPrompt]:
    """The rows in the order of their numbers; rows of one number as they stand."""
    names = ("text", "category", "tier", "weight", "seen", "atoms")
    columns = [[str(value).replace("\r\n", "\n") for value in sent.getlist(name)] for name in names]
    order = [_place(str(value)) for value in sent.getlist("order")]
    if any(len(column) != len(order) for column in columns):
        raise Refused("The form arrived in pieces, so nothing was saved. Send it again.")
    rows = [EditedPrompt(*values) for values in zip(*columns, strict=True)]
    placed = sorted(zip(order, range(len(rows)), rows, strict=True), key=lambda each: each[:2])
    return [row for _, _, row in placed if row.text.strip()]


def _place(word: str) -> float:
    try:
        place = float(word)
    except ValueError:
        return float("inf")
    return place if place == place else float("inf")  # not a number equals nothing, itself neither


def _prompt(row: EditedPrompt, base: PromptText | None) -> PromptText:
    if row.tier not in TIERS or row.seen not in _SEEN:
        raise Refused("It has a tier or a mark that there is not.")
    weight = _number(row.weight, "weight")
    if base is not None and f"{base.weight:g}" == row.weight:
        weight = base.weight
    return PromptText(row.text, row.category, atoms_of(row.atoms), tiers.known(row.tier), weight, _SEEN[row.seen])


def _number(word: str, name: str) -> float:
    try:
        return float(word.strip().replace(",", "."))
    except ValueError:
        raise Refused(f"“{word[:40]}” is no {name.lower()}: it is a number.") from None


def _seeds(words: str) -> list[int]:
    parts = words.replace(",", " ").split()
    if not all(part.isascii() and part.isdigit() and len(part) <= 12 for part in parts):
        raise Refused("Seeds are whole numbers with spaces between them.")
    return [int(part) for part in parts]


def _seen(is_seen: bool | None) -> str:
    return {True: "seen", False: "unseen", None: ""}[is_seen]
