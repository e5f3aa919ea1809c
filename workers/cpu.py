"""Tasks of the cpu queue, each with its body in a `*job.py`. None of them touches torch."""

from __future__ import annotations

from workers import freeze_job, intake_job, rules_job
from workers.captions import caption_job
from workers.celery_app import job_task
from workers.signals import signal_job

take_in = job_task("intake.take_in")(intake_job.take_in)
measure = job_task("signals.measure")(signal_job.measure_all)
propose_captions = job_task("captions.propose")(caption_job.propose_all)
apply_rules = job_task("review.apply_rules")(rules_job.apply_rules)
freeze = job_task("dataset.freeze")(freeze_job.freeze)
