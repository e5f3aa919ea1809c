"""Which metrics there are of whole columns, each with its numbers or with why it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from app.catalog.tables import EmbeddingSpace
from app.evaluation import column_metrics
from app.evaluation.column_metrics import KeptMetric, MetricName
from app.evaluation.deciding import SheetVerdict
from app.evaluation.tables import Sheet
from app.settings import Settings


@dataclass(frozen=True)
class ShownMetric:
    """A metric: active with its numbers, or why not. `rows` are columns with value, interval and n."""

    name: str
    state: str
    is_active: bool
    rows: list[tuple[str, str, str, int]]


_FID: Final = (
    "Not given. With a few hundred pictures its bias is larger than what checkpoints differ by, and it is another bias "
    "for each model; of 256 pictures it told 0.191 for the same distribution and 0.198 for a shifted one."
)


def shown(session: Session, settings: Settings, sheet: Sheet, verdict: SheetVerdict) -> list[ShownMetric]:
    """All metrics there are, those that are not active with the reason."""
    space = column_metrics.space_of(session, sheet)
    by_name: dict[str, list[KeptMetric]] = {}
    for each in verdict.metrics:
        by_name.setdefault(each.name, []).append(each)
    seen_by = space.model if space is not None else column_metrics.BUILT_IN
    is_dino = space is not None and not space.reads_words and not column_metrics.is_built_in(space)
    distance = "CMMD" if space is not None and space.reads_words else "DINO-MMD" if is_dino else f"MMD on {seen_by}"
    product = f"{'DINO likeness' if is_dino else 'Likeness'} to the product’s photos"
    rows = [
        _measured(verdict, by_name, f"{distance}, unbiased, × 1,000", "distance", seen_by),
        _measured(verdict, by_name, "Variety across the seeds", "variety", seen_by),
        _measured(verdict, by_name, "Likeness to training photos", "likeness", seen_by),
        _measured(verdict, by_name, product, "product", seen_by),
    ]
    if by_name.get("words"):
        rows.append(_measured(verdict, by_name, "CLIPScore or SigLIP", "words", seen_by))
    else:
        rows.append(ShownMetric("CLIPScore or SigLIP", _no_words(settings, space), False, []))
    if space is None or column_metrics.is_built_in(space):
        why = "not configured: PACKSHOT_EMBEDDER names no CLIP or DINO model"
        rows.append(ShownMetric("CMMD, DINO-MMD", why, False, []))
    rows.append(ShownMetric("Facts asked of a captioner", _no_captioner(settings), False, []))
    rows.append(ShownMetric("FID", _FID, False, []))
    return rows


def _measured(
    verdict: SheetVerdict, by_name: dict[str, list[KeptMetric]], name: str, key: MetricName, seen_by: str
) -> ShownMetric:
    rows = _rows(verdict, by_name.get(key, []), 2 if key == "distance" else 3)
    return ShownMetric(name, f"active, {seen_by}" if rows else "not measured yet", bool(rows), rows)


def _no_words(settings: Settings, space: EmbeddingSpace | None) -> str:
    if settings.embedder is None:
        return "not configured: PACKSHOT_EMBEDDER names no CLIP or SigLIP model"
    if space is not None and not space.reads_words:
        return f"not configured: {space.model} reads no words"
    return "not measured yet"


def _no_captioner(settings: Settings) -> str:
    if settings.caption_model is None:
        return "not configured: PACKSHOT_CAPTION_MODEL names no model"
    return "not asked: no captioner has been asked about these pictures"


def _rows(verdict: SheetVerdict, known: Sequence[KeptMetric], places: int) -> list[tuple[str, str, str, int]]:
    by_column = {each.checkpoint_id: each for each in known}
    rows = []
    for column in verdict.columns:
        each = by_column.get(column.checkpoint_id or 0)
        if each is None:
            continue
        if each.interval is None:
            rows.append((column.label, "too few to tell", "", each.count))
        else:
            interval = f"{each.interval.low:.{places}f} to {each.interval.high:.{places}f}"
            rows.append((column.label, f"{each.interval.value:.{places}f}", interval, each.count))
    return rows
