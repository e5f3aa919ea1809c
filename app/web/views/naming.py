"""What file names could say of the photos of a catalog, and what somebody decided."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.captions import naming_history
from app.captions.naming_history import OpenNames
from app.captions.naming_rules import RULES, NameOffer, NameRule, look
from app.captions.tables import NamingRule
from app.catalog.tables import Catalog
from app.intake import following
from app.jobs import Job


@dataclass(frozen=True)
class NamingView:
    """The naming rule of a catalog. `decided` is the newest row, `rule` what holds by it.

    `offers` are rules on the photos that the catalogue says nothing of; the one that holds is not among them but is
    `shown`, on the same photos.
    """

    catalog: Catalog
    open_names: OpenNames
    decided: NamingRule | None
    rule: NameRule | None
    shown: NameOffer | None
    offers: list[NameOffer]
    history: list[tuple[NamingRule, str]]
    rule_words: dict[str, str]
    following: list[Job]


def read(session: Session, catalog: Catalog, intake_id: int | None = None) -> NamingView:
    """What is decided and what could be, on the photos of the catalog or of one intake."""
    decided = naming_history.current(session, catalog.id)
    rule = RULES.get(decided.rule) if decided is not None and decided.rule is not None else None
    names = naming_history.open_names(session, catalog.id, intake_id)
    return NamingView(
        catalog=catalog,
        open_names=names,
        decided=decided,
        rule=rule,
        shown=look(rule, names.photos) if rule is not None and names.photos else None,
        offers=[offer for offer in names.offers if offer.rule is not rule],
        history=naming_history.history(session, catalog.id),
        rule_words={key: known.words for key, known in RULES.items()},
        following=following.working_on(session, catalog.id),
    )
