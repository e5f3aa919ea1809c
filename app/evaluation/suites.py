"""Suites: fixed prompts, seeds and sampling settings, versioned and hashed."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.captions.tables import Caption
from app.catalog.spelling import label_key
from app.catalog.tables import Catalog, Image
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotFound, Refused
from app.evaluation import tiers
from app.evaluation.prompt_texts import PromptText as PromptText
from app.evaluation.tables import Prompt, Suite
from app.people import Person
from app.training.recipe import Recipe

SEEDS: Final = (11, 23)
PROMPT_COUNT: Final = 12
PREVIEWS: Final = 3
"""Prompts drawn by each checkpoint while its run goes on, with the first seed."""
NO_CATEGORY: Final = "No category"
_LOCK: Final = 0x5517E  # of pg_advisory_xact_lock: new versions of suites


def choose_prompts(session: Session, version: DatasetVersion, count: int = PROMPT_COUNT) -> list[PromptText]:
    """Captions of validation members, spread over the categories; of train members where no other are held out.

    The choice depends on the members alone: within a category by the hash of the picture, categories taken in turn.
    Raises Refused for a version without members.
    """
    rows = session.execute(
        select(Image.sha256, Image.category, Caption.text, Member.split)
        .join(Member, Member.image_id == Image.id)
        .join(Caption, Caption.id == Member.caption_id)
        .where(Member.version_id == version.id)
        .order_by(Image.sha256)
    ).all()
    held_out = [row for row in rows if row.split == "validation"] or rows
    by_category: dict[str, list[PromptText]] = defaultdict(list)
    seen: set[str] = set()
    for row in held_out:
        if row.text not in seen:
            seen.add(row.text)
            # Spellings of one category are one, in that of its first photo.
            pile = by_category[label_key(row.category or "")]
            pile.append(PromptText(row.text, pile[0].category if pile else row.category or NO_CATEGORY))
    if not seen:
        raise Refused(f"Version {version.number} has no captions to draw from.")
    piles = [by_category[name] for name in sorted(by_category)]
    turns = max(len(pile) for pile in piles)
    chosen = [pile[turn] for turn in range(turns) for pile in piles if turn < len(pile)][:count]
    return sorted(chosen, key=lambda prompt: prompt.category)


def suite_for(session: Session, version: DatasetVersion, recipe: Recipe, extra: Sequence[PromptText] = ()) -> Suite:
    """The suite that sheets of this version use, sampled as the recipe says.

    `extra` prompts are put behind the chosen captions; without them, the prompts that the version had before are
    kept. Anything that differs makes a new version of the suite. Raises Refused for a version without members.
    """
    session.execute(select(DatasetVersion.id).where(DatasetVersion.id == version.id).with_for_update())
    catalog = session.get_one(Catalog, version.catalog_id)
    name = f"{catalog.name}, version {version.number}"
    latest = newest(session, name)
    if latest is not None and not extra:
        wanted = [text_of(prompt) for prompt in prompts_of(session, latest)]
    else:
        wanted = [*choose_prompts(session, version), *extra]
    sampling = {
        "steps": recipe.sampling_steps,
        "guidance": recipe.guidance,
        "width_px": recipe.resolution_px,
        "height_px": recipe.resolution_px,
    }
    return keep(session, name, wanted, SEEDS, sampling, catalog_id=version.catalog_id)


def keep(
    session: Session,
    name: str,
    prompts: Sequence[PromptText],
    seeds: Sequence[int],
    sampling: dict[str, Any],
    catalog_id: int | None = None,
    person: Person | None = None,
) -> Suite:
    """The suite of exactly this content: the one that is there, or a new version of `name`.

    Raises Refused without prompts or seeds.
    """
    if not prompts or not seeds:
        raise Refused("A suite needs at least one prompt and one seed.")
    content_hash = _hash(prompts, seeds, sampling)
    # Two may come to the same suite, or to the next version of one name, at the same moment.
    session.execute(select(func.pg_advisory_xact_lock(_LOCK, func.hashtext(name))))
    session.execute(select(func.pg_advisory_xact_lock(int(content_hash[:15], 16))))
    same = session.scalars(select(Suite).where(Suite.content_hash == content_hash)).first()
    if same is not None:
        return same
    last = session.scalar(select(func.max(Suite.version)).where(Suite.name == name))
    suite = Suite(
        name=name,
        version=(last or 0) + 1,
        content_hash=content_hash,
        seeds=list(seeds),
        sampling=sampling,
        catalog_id=catalog_id,
        created_by_id=person.id if person else None,
    )
    session.add(suite)
    session.flush()
    session.add_all(
        Prompt(
            suite_id=suite.id, position=position, text=p.text, category=p.category, atoms=p.atoms, tier=p.tier,
            weight=p.weight, is_seen=p.is_seen,
        )
        for position, p in enumerate(prompts, start=1)
    )  # fmt: skip
    session.flush()
    return suite


def get(session: Session, suite_id: int) -> Suite:
    """The suite with this id. Raises NotFound."""
    suite = session.get(Suite, suite_id)
    if suite is None:
        raise NotFound(f"There is no suite {suite_id}.")
    return suite


def newest(session: Session, name: str) -> Suite | None:
    """The newest version of the suite of this name."""
    return session.scalars(select(Suite).where(Suite.name == name).order_by(Suite.version.desc())).first()


def versions_of(session: Session, name: str) -> Sequence[Suite]:
    """All versions of the suite of this name, the newest first."""
    return session.scalars(select(Suite).where(Suite.name == name).order_by(Suite.version.desc())).all()


def text_of(prompt: Prompt) -> PromptText:
    """A prompt as it would be kept in another suite."""
    return PromptText(
        prompt.text, prompt.category, prompt.atoms, tiers.known(prompt.tier), prompt.weight, prompt.is_seen
    )


def prompts_of(session: Session, suite: Suite) -> Sequence[Prompt]:
    """The suite's prompts in their order."""
    return session.scalars(select(Prompt).where(Prompt.suite_id == suite.id).order_by(Prompt.position)).all()


def preview_prompts(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The few of a suite's prompts that tell most at a glance: of as many categories as there are, in their order."""
    by_category: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        by_category[prompt.category].append(prompt)
    turns = max((len(pile) for pile in by_category.values()), default=0)
    in_turn = [pile[turn] for turn in range(turns) for pile in by_category.values() if turn < len(pile)]
    return sorted(in_turn[:PREVIEWS], key=lambda prompt: prompt.position)


def _hash(prompts: Sequence[PromptText], seeds: Sequence[int], sampling: dict[str, Any]) -> str:
    content = [[_content(prompt) for prompt in prompts], list(seeds), sampling]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _content(prompt: PromptText) -> list[Any]:
    """What is hashed of a prompt. Suites from before there were tiers and weights keep their hashes."""
    plain = [prompt.text, prompt.category, prompt.atoms]
    more = [prompt.tier, prompt.weight, prompt.is_seen]
    return plain if more == ["full", 1.0, None] else [*plain, *more]
