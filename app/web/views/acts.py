"""The lines of the audit log in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.audit import Act, AuditEntry
from app.units import duration

_CHOICES: Final[dict[Act, str]] = {
    "signed_in": "Signed in",
    "sign_in_failed": "Wrong password",
    "signed_out": "Signed out",
    "signed_out_everywhere": "Signed out everywhere",
    "browser_ended": "Signed one browser out",
    "password_set": "Chose a password",
    "link_made": "Made a link",
    "person_added": "Added a person",
    "access_ended": "Disabled a person",
    "person_enabled": "Enabled a person",
    "role_changed": "Changed a role",
    "person_deleted": "Deleted a person",
    "cycle_started": "Started a cycle",
    "run_launched": "Launched a run",
    "run_stopped": "Stopped a run",
    "run_discarded": "Discarded a run",
    "run_resumed": "Let a run go on",
    "run_extended": "Raised a run’s limit",
    "job_asked": "Asked for a job",
    "job_cancelled": "Stopped a job",
    "photo_removed": "Removed a photo",
    "photo_allowed_again": "Let a photo in again",
    "catalog_removed": "Removed a catalog",
    "version_removed": "Removed a version",
    "export_removed": "Deleted an export",
    "cache_emptied": "Emptied the cache",
    "backup_written": "Wrote a backup",
    "naming_decided": "Decided how file names name photos",
    "labels_defined": "Changed a label set",
    "file_imported": "Imported a file",
    "changed": "Changed something",
    "captioner_adopted": "Adopted a captioner",
    "candidate_asked": "Asked for a model to ship",
    "candidate_ended": "Ended a candidate",
    "model_promoted": "Made a model live",
    "model_rolled_back": "Rolled a model back",
    "model_withdrawn": "Withdrew a model",
    "queue_made": "Made a queue",
    "queue_given": "Handed out a queue",
    "queue_closed": "Closed a queue",
    "queue_opened": "Opened a queue again",
}
# What was changed, by route, where no act of its own tells it.
CHANGED: Final = {
    "POST /compare": "Put a comparison together",
    "POST /runs/{run_id}/drawing": "Asked a run for samples",
    "POST /catalogs/{catalog_id}/assignments": "Assigned photos",
    "POST /catalogs/{catalog_id}/captions/imports": "Read a file of captions",
    "POST /catalogs/{catalog_id}/decisions": "Decided on photos",
    "POST /catalogs/{catalog_id}/duplicates/sure": "Linked sure copies",
    "POST /catalogs/{catalog_id}/duplicates/{group_id}": "Ruled on duplicates",
    "POST /catalogs/{catalog_id}/labels": "Labelled photos",
    "POST /catalogs/{catalog_id}/labels/imports": "Read a file of labels",
    "POST /catalogs/{catalog_id}/lassos": "Drew a lasso",
    "POST /catalogs/{catalog_id}/recaption": "Had photos captioned",
    "POST /catalogs/{catalog_id}/refused/exclusions": "Left refused files out",
    "POST /catalogs/{catalog_id}/replace": "Replaced in captions",
    "POST /catalogs/{catalog_id}/tags": "Tagged photos",
    "POST /catalogs/{catalog_id}/template": "Wrote captions by a template",
    "POST /catalogs/{catalog_id}/views": "Kept a view",
    "POST /suites": "Made a product suite",
    "POST /suites/imports": "Brought in a suite",
    "POST /profiles/{key}": "Edited what a profile asks of pictures",
    "POST /suites/{suite_id}": "Edited a suite",
    "POST /suites/{suite_id}/hold-out": "Opened held-out prompts",
    "POST /comparisons/{comparison_id}/votes": "Voted on captions",
    "POST /comparisons/{comparison_id}/votes/undo": "Took a vote back",
    "POST /catalogs/{catalog_id}/words": "Changed a list of words",
    "POST /compare/{sheet_id}/votes": "Voted on samples",
    "POST /compare/{sheet_id}/votes/undo": "Took a vote on samples back",
    "POST /compare/{sheet_id}/usable": "Said what they would publish",
    "POST /compare/{sheet_id}/usable/undo": "Took an answer back",
    "POST /compare/{sheet_id}/failures": "Said what is wrong with a sample",
    "POST /compare/{sheet_id}/gate": "Set a gate",
    "POST /compare/{sheet_id}/links": "Made a link to vote by",
    "POST /compare/{sheet_id}/links/{link_id}/revocation": "Took a link to vote by back",
    "POST /desk/departure": "Left the desk",
    "POST /images/{image_id}/captions": "Wrote a caption",
    "POST /images/{image_id}/captions/{caption_id}/restoration": "Brought a caption back",
    "POST /images/{image_id}/corrections": "Corrected a fact",
    "POST /images/{image_id}/decisions": "Decided",
    "POST /images/{image_id}/labels": "Labelled",
    "POST /images/{image_id}/notes": "Wrote a note",
    "POST /keys": "Set a key of their own",
    "POST /keys/defaults": "Set their keys back",
    "POST /notes/{note_id}/answers": "Answered a note",
    "POST /notes/{note_id}/closing": "Closed a note",
    "POST /operations/{operation_id}/undo": "Took an operation back",
    "POST /queues/{queue_id}/skips": "Skipped a photo",
    "POST /undo": "Undid",
    "POST /uploads": "Began an upload",
    "POST /uploads/{upload}/files": "Sent files",
    "POST /uploads/{upload}/removal": "Removed an upload",
    "POST /views/{view_id}": "Changed a view",
    "POST /views/{view_id}/deletion": "Deleted a view",
}
CHOICES: Final[dict[str, str]] = {str(act): words for act, words in _CHOICES.items()}
_ALARMING: Final = frozenset({"sign_in_failed", "access_ended", "person_deleted", "run_discarded", "catalog_removed"})


@dataclass(frozen=True)
class AuditLine:
    """One line: when, who, what in words, of whom or what, and from where. `href` leads to it where it has a page."""

    at: datetime
    by: str
    what: str
    about: str
    href: str
    facts: str
    source: str
    is_alarming: bool


def line(entry: AuditEntry, names: Mapping[int, str]) -> AuditLine:
    """A line of the log as its page shows it. `names` are those of the people in it."""
    facts = dict(entry.facts)
    run, job, cycle = facts.pop("run", None), facts.pop("job", None), facts.pop("cycle", None)
    route, image = facts.pop("route", None), facts.pop("image", None)
    about, href = "", ""
    if run is not None:
        about, href = f"Run {run}", f"/runs/{run}"
    elif job is not None:
        about = f"Job {job}, {facts.pop('kind', '')}"
    elif cycle is not None:
        about, href = f"Cycle {cycle}", "/cycle"
    elif image is not None:
        about, href = f"Photo {image}", f"/images/{image}"
    elif entry.about_id is not None and entry.about_id != entry.by_id:
        about = _name(entry.about_id, names)
    return AuditLine(
        at=entry.at,
        by=_name(entry.by_id, names) if entry.by_id is not None else _nobody(entry),
        what=CHANGED.get(route, str(route)) if route is not None else CHOICES.get(entry.act, entry.act),
        about=about,
        href=href,
        facts=", ".join(_fact(name, value) for name, value in facts.items() if value is not None),
        source=entry.from_address or "",
        is_alarming=entry.act in _ALARMING,
    )


def _name(person_id: int, names: Mapping[int, str]) -> str:
    return names.get(person_id, f"Person {person_id}")


def _nobody(entry: AuditEntry) -> str:
    """Whoever is not signed in came by an address, or sits at the machine's own terminal."""
    return "Not signed in" if entry.from_address else "Terminal"


def _fact(name: str, value: Any) -> str:
    if name == "seconds":
        return f"time limit {duration(float(value))}"
    shown = {"amount": "money limit", "ended": "ended cycle", "spent": "which spent", "role": "now", "how": "by"}.get(
        name, name
    )
    return f"{shown} {value}"
