"""How many tokens captions are to the text encoders of the bases that can be trained: kept, and counted again.

What counts is a worker (`workers/captions/token_job.py`), for tokenizers are loaded there. The sweeper asks for it
(`app/selection/counting.py`), so that a caption is counted whoever wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from app.captions.tables import Caption, CaptionTokens
from app.catalog.tables import Image

KIND: Final = "captions.count"
ENCODERS: Final[dict[str, str]] = {"clip": "CLIP", "t5": "T5", "gemma": "T5Gemma", "qwen": "Qwen", "nano": "nano"}
"""Text encoders of the families that can be trained: CLIP of SD 1.5, SDXL, SD 3 and FLUX.1 (which read 77 tokens), T5
of SD 3 and FLUX.1 (256 or 512), T5Gemma of PRX (256), Qwen of FLUX.2 klein (512), and the shipped base's own (48)."""
CUT_OFFS: Final[dict[str, int]] = {"clip": 77, "t5": 256, "gemma": 256, "qwen": 512, "nano": 48}
"""How many tokens each of them reads, at least; what stands behind is left off."""
AT_ONCE: Final = 1_000


def forget_others(session: Session, counted_by: str) -> None:
    """Forget what was counted by other tokenizers than these, so that it is counted again."""
    session.execute(delete(CaptionTokens).where(CaptionTokens.counted_by != counted_by))


def uncounted(session: Session, catalog_id: int, counted_by: str, after: int) -> list[tuple[int, int, str]]:
    """Up to AT_ONCE current captions that these tokenizers have not counted, of photos behind `after`: image id,
    caption id and text."""
    rows = session.execute(
        select(Caption.image_id, Caption.id, Caption.text)
        .join(Image, Image.id == Caption.image_id)
        .outerjoin(CaptionTokens, CaptionTokens.caption_id == Caption.id)
        .where(Image.catalog_id == catalog_id, Caption.superseded_at.is_(None), Caption.image_id > after)
        .where(CaptionTokens.counted_by.is_distinct_from(counted_by))
        .order_by(Caption.image_id)
        .limit(AT_ONCE)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def record(session: Session, counted: Mapping[int, Mapping[str, int]], counted_by: str) -> None:
    """Keep counts by caption id and encoder. A caption that is gone by now is passed over."""
    ids = sorted(counted)
    columns = {"ids": ids, "counts": [json.dumps(counted[number]) for number in ids]}
    session.execute(_KEEP, {"by": counted_by, **columns})


_KEEP: Final = text("""
    insert into caption_tokens (caption_id, image_id, counts, counted_by)
    select caption.id, caption.image_id, cast(counted.counts as jsonb), :by
    from unnest(cast(:ids as bigint[]), cast(:counts as text[])) as counted (id, counts)
    join caption on caption.id = counted.id
    on conflict (caption_id) do update set counts = excluded.counts, counted_by = excluded.counted_by
""")
