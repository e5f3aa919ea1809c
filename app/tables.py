"""Imports every table once, for Alembic and for `Base.metadata` to be whole. Nothing else belongs here."""

from app import audit, guessing, jobs, people
from app.bulk import tables as bulk
from app.captions import run_tables as caption_runs
from app.captions import tables as captions
from app.catalog import correction_tables as corrections
from app.catalog import duplicate_tables as duplicates
from app.catalog import look_code_tables as look_codes
from app.catalog import mend_tables as mends
from app.catalog import tables as catalog
from app.cycles import tables as cycles
from app.datasets import tables as datasets
from app.desk import comparison_tables as comparisons
from app.desk import tables as desk
from app.desk import tallies
from app.evaluation import measure_tables as measures
from app.evaluation import promotion_tables as promotions
from app.evaluation import shipping_tables as shipping
from app.evaluation import tables as evaluation
from app.evaluation import vote_tables as votes
from app.exports import tables as exports
from app.intake import tables as intake
from app.labels import tables as labels
from app.review import tables as review
from app.selection import changes, saved_views
from app.selection import tables as selection
from app.training import tables as training

__all__ = [
    "audit",
    "bulk",
    "caption_runs",
    "captions",
    "catalog",
    "changes",
    "comparisons",
    "corrections",
    "cycles",
    "datasets",
    "desk",
    "duplicates",
    "evaluation",
    "exports",
    "guessing",
    "intake",
    "jobs",
    "labels",
    "look_codes",
    "measures",
    "mends",
    "people",
    "promotions",
    "review",
    "saved_views",
    "selection",
    "shipping",
    "tallies",
    "training",
    "votes",
]
