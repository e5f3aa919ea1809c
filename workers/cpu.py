"""Tasks of the cpu queue, each with its body in a `*job.py`. Torch is loaded by those that embed photos, and by
no other.

Its processes take every core, at a low priority: photos wait for a trainer and for the pages, never the other way.
"""

from __future__ import annotations

import os
from typing import Final

from celery.signals import worker_init
from PIL import Image as Pillow
from sqlalchemy.orm import configure_mappers

from app.intake import memory
from workers import (
    export_job,
    freeze_job,
    group_job,
    intake_job,
    mend_job,
    operation_job,
    removal_job,
    rules_job,
    sample_job,
)
from workers.captions import caption_job, lint_job, recaption_job, token_job
from workers.celery_app import job_task
from workers.embedding import embed_job, map_job
from workers.lettering import lettering_job
from workers.signals import signal_job

NICENESS: Final = 10

take_in = job_task("intake.take_in")(intake_job.take_in)
try_refused_again = job_task("intake.try_again")(intake_job.try_again)
measure = job_task("signals.measure")(signal_job.measure_all)
mend = job_task("photos.mend")(mend_job.mend)
group_photos = job_task("photos.group")(group_job.group)
propose_captions = job_task("captions.propose")(caption_job.propose_all)
ask_about_photos = job_task("captions.ask")(caption_job.ask)
ask_again = job_task("operation.ask")(recaption_job.ask)
count_tokens = job_task("captions.count")(token_job.count)
lint_captions = job_task("captions.lint")(lint_job.check)
apply_rules = job_task("review.apply_rules")(rules_job.apply_rules)
embed = job_task("photos.embed")(embed_job.embed_all)
map_photos = job_task("photos.map")(map_job.map_photos)
read_text = job_task("photos.read_text")(lettering_job.read_all)
freeze = job_task("dataset.freeze")(freeze_job.freeze)
verify = job_task("dataset.verify")(freeze_job.verify)
export = job_task("versions.export")(export_job.export)
do_operation = job_task("operation.do")(operation_job.do)
undo_operation = job_task("operation.undo")(operation_job.undo)
measure_samples = job_task("sheet.measure")(sample_job.measure_sheet)
remove_catalog = job_task("catalog.remove")(removal_job.remove_catalog)
delete_files = job_task("files.delete")(removal_job.delete_files)


@worker_init.connect  # type: ignore[untyped-decorator]
def step_back(**_: object) -> None:
    """Let everything else on this machine go first, and reuse memory; the processes that do the jobs inherit it."""
    os.nice(NICENESS)
    memory.share_one_heap()
    # Once for them all, not by each at its first job.
    configure_mappers()
    Pillow.init()
