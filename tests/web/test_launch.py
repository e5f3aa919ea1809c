"""The launch page: three choices, what follows from them, each state of a preflight, and what the button does."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Catalog
from app.cycles import clock, ledger
from app.datasets.tables import DatasetVersion
from app.launch import checks, devices, preflights
from app.launch.preflights import RequestedLimits
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.training import runs
from app.training.limits import Limits
from app.training.recipe import Recipe
from app.training.tables import Preflight
from tests.conftest import sign_in
from tests.launch.test_checks import MEASURED
from tests.training.cast import frozen_version

PLANNED = runs.plan(threads=1)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"worker_threads": 1, "gpu_hour_price": Decimal("3.20")})


@pytest.fixture
def version(session: Session) -> DatasetVersion:
    return frozen_version(session)


def measured(
    session: Session,
    version: DatasetVersion,
    recipe: Recipe = PLANNED,
    requested: RequestedLimits | None = None,
    **facts: Any,
) -> Preflight:
    """A preflight that passed."""
    found = preflights.request_preflight(session, version, recipe, requested=requested)
    jobs.get(session, found.job_id or 0).state = "done"
    preflights.end(session, found, "passed", None, {**MEASURED, "peak_bytes": 1 << 30, **facts})
    return found


def ended(session: Session, version: DatasetVersion, state: preflights.End, reason: str, **more: Any) -> Preflight:
    found = preflights.request_preflight(session, version, PLANNED)
    jobs.get(session, found.job_id or 0).state = "done"
    preflights.end(session, found, state, reason, more.pop("measured", {}))
    found.alternatives = more.pop("alternatives", [])
    session.flush()
    return found


def test_without_a_version_it_says_what_to_do_first(client: TestClient) -> None:
    page = client.get("/runs/new")
    assert "No frozen dataset version to train from" in page.text
    assert page.context["state"] == "empty"


def test_three_choices_and_the_recipe_that_follows(
    client: TestClient, session: Session, version: DatasetVersion
) -> None:
    unfrozen = frozen_version(session)
    unfrozen.content_hash = None
    session.flush()
    page = client.get(f"/runs/new?version_id={version.id}")
    view = page.context
    assert [(one.value, one.is_on) for one in view["versions"]] == [(version.id, True)]
    assert [one.value for one in view["bases"]] == ["models/nano"]
    assert [(one.title, one.note, one.is_on) for one in view["lengths"]] == [
        ("Quick", "150 steps", False), ("Balanced", "600 steps", True), ("Best", "2,400 steps", False),
    ]  # fmt: skip
    assert view["plan"].recipe == PLANNED
    assert view["state"] == "unmeasured"
    assert "Measure, then fine-tune" in page.text
    assert 'action="/preflights"' in page.text
    assert PLANNED.recipe_hash()[:4] in page.text


def test_each_length_is_a_recipe_of_its_own(client: TestClient, version: DatasetVersion) -> None:
    view = client.get("/runs/new?preset=quick").context
    assert view["plan"].recipe.steps == 150
    assert [one.is_on for one in view["lengths"]] == [True, False, False]


def test_knobs_may_be_changed_and_stay_in_the_address(client: TestClient, version: DatasetVersion) -> None:
    page = client.get("/runs/new?batch_size=16")
    assert page.context["asked"].changes == {"batch_size": "16"}
    assert page.context["plan"].recipe == PLANNED.model_copy(update={"batch_size": 16})
    assert "changed by you; it was 32" in page.text
    assert '<input type="hidden" form="go" name="batch_size" value="16">' in page.text


def test_a_typed_knob_stays_where_it_is_what_would_be_derived(client: TestClient, version: DatasetVersion) -> None:
    ours = client.get("/runs/new").context["plan"].recipe
    other = client.get("/runs/new?method=lora").context["plan"].recipe
    assert (ours.adamw_lr, ours.batch_size) != (other.adamw_lr, other.batch_size)
    assert other.buckets and not ours.buckets
    typed = {"method": "lora", "adamw_lr": str(ours.adamw_lr), "batch_size": str(ours.batch_size), "buckets": "false"}
    page = client.get("/runs/new", params=typed)
    assert page.context["asked"].changes == typed
    made = page.context["plan"]
    assert (made.recipe.method, made.recipe.adamw_lr, made.recipe.batch_size) == (
        "lora",
        ours.adamw_lr,
        ours.batch_size,
    )
    assert made.recipe.buckets is False
    assert all(made.knob(name).is_changed for name in typed)
    assert made.knob("buckets").reason == "changed by you; it was true"
    answer = client.post("/preflights", data={"version_id": version.id, **typed})
    assert all(f"{name}={value}" in answer.headers["location"] for name, value in typed.items())


def test_a_form_that_sends_every_field_leaves_those_alone_that_were_not_typed(
    client: TestClient, version: DatasetVersion
) -> None:
    def fields(page: Any) -> dict[str, str]:
        groups = page.context["groups"]
        assert f'name="typed_before" value="{page.context["asked"].typed}"'.replace("&", "&amp;") in page.text
        return {field.knob.name: field.typed for group in groups for field in group.fields}

    shown = client.get("/runs/new?method=lora&seed=11")
    sent = {**fields(shown), "batch_size": "16", "typed_before": shown.context["asked"].typed}
    page = client.get("/runs/new", params=sent)
    assert page.context["asked"].changes == {"method": "lora", "seed": "11", "batch_size": "16"}
    unchanged = {**fields(client.get("/runs/new")), "typed_before": ""}
    assert client.get("/runs/new", params=unchanged).context["asked"].changes == {}


def test_the_drawer_has_every_knob_but_the_base(client: TestClient, version: DatasetVersion) -> None:
    groups = client.get("/runs/new").context["groups"]
    names = [field.knob.name for group in groups for field in group.fields]
    assert sorted(names) == sorted(set(Recipe.model_fields) - {"base", "base_revision", "family"})


def test_a_fault_is_named_and_what_was_typed_stays(client: TestClient, version: DatasetVersion) -> None:
    page = client.get("/runs/new?batch_size=lots&clip_norm=2")
    assert 'name="batch_size" value="lots"' in page.text
    assert "The recipe is refused: Batch: " in page.text
    assert page.context["why_not"] == page.context["plan"].fault
    answer = client.post("/runs", data={"version_id": version.id, "batch_size": "lots"})
    assert answer.status_code == 422
    assert 'name="batch_size" value="lots"' in answer.text


def test_measuring_is_asked_for_once_and_the_run_is_to_follow(
    client: TestClient, session: Session, version: DatasetVersion, me: Person
) -> None:
    form = {"version_id": version.id, "base": "models/nano", "preset": "quick", "start": "1", "max_time": "0:30"}
    first = client.post("/preflights", data=form)
    again = client.post("/preflights", data=form)
    assert first.status_code == 303
    assert first.headers["location"] == again.headers["location"]
    (asked,) = session.scalars(select(Preflight))
    assert (asked.recipe["steps"], asked.created_by_id) == (150, me.id)
    job = jobs.get(session, asked.job_id or 0)
    assert preflights.requested_of(job.arguments) == RequestedLimits(max_seconds=1800.0)
    assert parse_qs(urlsplit(first.headers["location"]).query)["measuring"] == [str(asked.id)]
    page = client.get(first.headers["location"])
    assert page.context["state"] == "waiting"
    assert "No GPU worker is running." in page.text
    assert "The run starts by itself" in page.text
    assert page.context["why_not"] == "It is being measured; that has to end first."


def test_without_the_tick_nothing_follows(client: TestClient, session: Session, version: DatasetVersion) -> None:
    page = client.post("/preflights", data={"version_id": version.id}, follow_redirects=True)
    (asked,) = session.scalars(select(Preflight))
    assert preflights.requested_of(jobs.get(session, asked.job_id or 0).arguments) is None
    assert "Nothing starts by itself" in page.text


def test_a_measured_recipe_shows_its_end_its_cost_and_starts_at_once(
    client: TestClient, session: Session, version: DatasetVersion
) -> None:
    known = measured(session, version)
    page = client.get(f"/runs/new?version_id={version.id}")
    view = page.context
    assert view["state"] == "measured" and view["why_not"] == ""
    assert [fact.name for fact in view["facts"]] == ["Load", "Peak memory", "One step", "Sample", "Checkpoint"]
    assert (view["facts"][2].value, view["facts"][4].more) == ("0.50 s", "40.0 MB, written and read back")
    expected = view["assessment"].estimate.in_all[1]
    assert view["costs"][0] == f"€{3.2 * expected / 3600:,.2f}"
    assert view["plot"].low.x < view["plot"].expected.x < view["plot"].high.x < view["plot"].stop.x
    assert "Fine-tune now" in page.text and 'action="/runs"' in page.text
    assert "no run was measured against its estimate yet" in page.text
    # What was measured holds for the other lengths too.
    assert [note.count("€") for note in (one.note for one in view["lengths"])] == [1, 1, 1]
    started = client.post("/runs", data={"version_id": version.id, "max_time": "0:20", "max_amount": "1.50"})
    run = runs.recent(session)[0]
    assert started.headers["location"] == f"/runs/{run.id}"
    assert (run.preflight_id, run.max_seconds, run.max_amount) == (known.id, 1200.0, Decimal("1.50"))
    assert run.estimated_s == view["assessment"].estimate.seconds
    assert "5 steps measured on CPU" in (run.estimated_from or "")


def test_what_was_measured_on_another_device_does_not_hold(
    client: TestClient, session: Session, version: DatasetVersion, settings: Settings
) -> None:
    devices.tell(settings.data_dir, "CPU", None)
    here = measured(session, version)
    measured(session, version, device="NVIDIA H100 80GB HBM3")
    assert client.get("/runs/new").context["preflight"].id == here.id, "the newest one of this very device holds"
    devices.tell(settings.data_dir, "Tesla T4", 15 << 30)
    page = client.get("/runs/new?" + urlencode(PLANNED.model_dump(exclude={"base", "family"}, exclude_none=True)))
    assert page.context["plan"].recipe == PLANNED
    assert page.context["state"] == "unmeasured"
    assert (
        "measured on NVIDIA H100 80GB HBM3, and the gpu worker now works on Tesla T4: measure it again there"
        in page.text
    )
    assert "Measure, then fine-tune" in page.text
    (device,) = [one for one in page.context["assessment"].findings if one.name == "Device"]
    assert device.sentence == "Tesla T4, free"


def test_a_run_does_without_compiling_that_does_not_pay(
    client: TestClient, session: Session, version: DatasetVersion
) -> None:
    both = {"sizes": [[64, 64, 90.0]], "warm_s": [0.4] * 3, "step_s": [0.4] * 5, "peak_bytes": 1 << 30}
    measured(session, version, PLANNED.model_copy(update={"compile": True}), compiled=both)
    page = client.get(f"/runs/new?version_id={version.id}&compile=true")
    assert page.context["state"] == "measured"
    assert "compiling does not pay: steps take 0.40 s instead of 0.50 s" in page.text
    assert PLANNED.recipe_hash()[:4] in page.text
    longer = client.get(f"/runs/new?version_id={version.id}&compile=true&preset=best")
    assert "90 s of compiling are paid back after 900 of 2,400 steps" in longer.text
    assert longer.context["facts"][2].more == "median of 5 compiled, after 3 warm"
    # What was timed without compiling holds for a recipe that never asks for it.
    assert client.get(f"/runs/new?version_id={version.id}").context["state"] == "measured"
    client.post("/runs", data={"version_id": version.id, "compile": "true"})
    (run,) = runs.recent(session)
    assert (run.recipe["compile"], run.recipe_hash) == (False, PLANNED.recipe_hash())
    client.post("/runs", data={"version_id": version.id, "compile": "true"})
    assert runs.recent(session) == [run], "asked for twice it is one run"


def test_a_run_that_started_by_itself_is_gone_to(client: TestClient, session: Session, version: DatasetVersion) -> None:
    known = measured(session, version)
    client.post("/runs", data={"version_id": version.id})
    answer = client.get(f"/runs/new?measuring={known.id}")
    assert answer.headers["location"] == f"/runs/{runs.recent(session)[0].id}"


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("max_time", "soon", "hours and minutes"),
        ("max_time", "1:75", "hours and minutes"),
        ("max_amount", "-3", "an amount"),
    ],
)
def test_a_hard_stop_that_is_none_is_named(
    client: TestClient, session: Session, version: DatasetVersion, field: str, typed: str, words: str
) -> None:
    measured(session, version)
    answer = client.post("/runs", data={"version_id": version.id, field: typed})
    assert answer.status_code == 422
    assert words in answer.text and f'value="{typed}"' in answer.text
    assert runs.recent(session) == []


def test_what_cannot_end_in_time_offers_the_steps_that_do(
    client: TestClient, session: Session, version: DatasetVersion, settings: Settings
) -> None:
    measured(session, version, step_s=[60.0] * 5)
    page = client.get(f"/runs/new?version_id={version.id}")
    view = page.context
    assert "Time" in view["why_not"] and "are allowed" in view["why_not"]
    (other,) = view["others"]
    steps = int(parse_qs(urlsplit(other.href).query)["steps"][0])
    assert other.words == f"{steps:,} steps instead of 600"
    assert "more than is left" in view["lengths"][1].note
    answer = client.post("/runs", data={"version_id": version.id}, headers={"Accept": "application/json"})
    assert answer.status_code == 422
    # One click later it fits, with what was measured before.
    shorter = client.get(other.href).context
    assert shorter["state"] == "measured" and shorter["why_not"] == ""


def test_what_does_not_fit_offers_what_does(client: TestClient, session: Session, version: DatasetVersion) -> None:
    smaller = PLANNED.model_copy(update={"micro_batch": 8})
    fits = measured(session, version, smaller)
    row = {"words": "8 at once", "state": "fits", "changes": {"micro_batch": "8"}, "preflight_id": fits.id,
           "sentence": "", "step_s": 0.7, "seconds": 500.0}  # fmt: skip
    too_large = {**row, "words": "16 at once", "state": "too_large", "step_s": None}
    ended(
        session, version, "refused", "It does not fit into the device’s memory.", alternatives=[too_large, row],
        measured={name: MEASURED[name] for name in ("weights", "undecodable", "tokens", "buckets")},
    )  # fmt: skip
    page = client.get("/runs/new")
    view = page.context
    assert view["state"] == "too_large"
    assert [(one.words, one.measured, bool(one.href)) for one in view["others"]] == [
        ("16 at once", "does not fit either", False), ("8 at once", "0.7 s a step, 8 m 20 s in all", True),
    ]  # fmt: skip
    assert client.get(view["others"][1].href).context["state"] == "measured"


def test_a_refusal_and_a_failure_say_why(
    client: TestClient, session: Session, version: DatasetVersion, storage: Storage
) -> None:
    ended(session, version, "refused", "The base model folder x is missing.")
    page = client.get("/runs/new")
    assert page.context["state"] == "refused" and "The base model folder x is missing." in page.text
    broken = ended(session, version, "failed", "It ended without telling why.")
    folder = storage.root / "preflights" / str(broken.id)
    folder.mkdir(parents=True)
    (folder / runs.LOG).write_text("Traceback\nRuntimeError: <b>\n")
    page = client.get("/runs/new")
    assert page.context["state"] == "failed" and "RuntimeError: &lt;b&gt;" in page.text
    assert "Measure, then fine-tune" in page.text


def test_a_failed_finding_keeps_the_button_dark(client: TestClient, session: Session, version: DatasetVersion) -> None:
    measured(session, version, captions_empty=2)
    page = client.get("/runs/new")
    assert page.context["why_not"] == "Captions: 2 are empty; such photos teach nothing."
    assert "disabled" in page.text.split("Fine-tune now")[0][-200:]
    assert client.post("/runs", data={"version_id": version.id}).status_code == 422


def test_captions_that_are_cut_off_can_be_seen(client: TestClient, session: Session, version: DatasetVersion) -> None:
    measured(session, version, tokens={"limit": 48, "longest": 61, "over": 1, "examples": ["A very <long> caption"]})
    page = client.get("/runs/new").text
    assert "one caption passes the encoder’s 48; the tail is not read" in page
    assert "A very &lt;long&gt; caption" in page


def test_a_measured_recipe_may_be_measured_again(client: TestClient, session: Session, version: DatasetVersion) -> None:
    measured(session, version)
    assert 'formaction="/preflights"' in client.get("/runs/new").text
    client.post("/preflights", data={"version_id": version.id, "max_time": "0:20", "max_amount": "2"})
    assert [one.state for one in session.scalars(select(Preflight).order_by(Preflight.id))] == ["passed", "queued"]
    assert client.get("/runs/new").context["state"] == "waiting"


def test_the_cycle_bounds_it(client: TestClient, session: Session, version: DatasetVersion, settings: Settings) -> None:
    pile = session.get_one(Catalog, version.catalog_id)
    clock.start_cycle(session, settings, pile)
    measured(session, version)
    view = client.get("/runs/new").context
    assert [bar.name for bar in view["bars"]] == ["Time", "Money"]
    assert view["cycle"] == 1
    assert view["assessment"].limits.max_seconds < 1800


def test_without_money_nothing_is_measured(
    client: TestClient, session: Session, version: DatasetVersion, settings: Settings
) -> None:
    clock.start_cycle(session, settings, None)
    ledger.record(session, jobs.request(session, "captions.look", {}), 100 * 3600.0, settings)
    assert "nothing is left of the cycle’s budget" in client.get("/runs/new").text
    assert client.post("/preflights", data={"version_id": version.id}).status_code == 422
    assert session.scalars(select(Preflight)).all() == []


def test_what_other_runs_may_cost_is_shown_as_reserved(
    client: TestClient, session: Session, version: DatasetVersion, settings: Settings
) -> None:
    clock.start_cycle(session, settings, None)
    other = PLANNED.model_copy(update={"seed": 5})
    runs.request_run(session, version, "models/nano", other, None, Limits(3600.0, Decimal(2), Decimal("3.20")))
    measured(session, version)
    page = client.get("/runs/new")
    assert "€2.00 are reserved by other runs" in page.text
    money = page.context["bars"][1]
    assert money.used == pytest.approx(2 / 80)


def test_starting_twice_is_one_run(client: TestClient, session: Session, version: DatasetVersion, me: Person) -> None:
    form = {"version_id": version.id, "base": "models/nano", "steps": 150}
    first = client.post("/runs", data=form)
    again = client.post("/runs", data=form)
    assert first.status_code == 303
    assert first.headers["location"] == again.headers["location"]
    (run,) = runs.recent(session)
    assert (run.steps, run.created_by_id) == (150, me.id)


def test_a_number_of_steps_replaces_the_choice(client: TestClient, session: Session, version: DatasetVersion) -> None:
    client.post("/runs", data={"version_id": version.id, "steps": 600, "exact": 77})
    assert runs.recent(session)[0].steps == 77


def test_starting_with_the_version_alone_takes_the_recipe_as_it_is(
    client: TestClient, session: Session, version: DatasetVersion
) -> None:
    client.post("/runs", data={"version_id": version.id, "exact": ""})
    run = runs.recent(session)[0]
    assert (run.base, run.steps, run.estimated_s) == ("models/nano", runs.plan().steps, None)


def test_an_unknown_base_is_refused(client: TestClient, version: DatasetVersion) -> None:
    form = {"version_id": version.id, "base": "/etc"}
    answer = client.post("/runs", data=form, headers={"Accept": "application/json"})
    assert answer.status_code == 422
    assert "not a base" in answer.json()["error"]["sentence"]


def test_a_base_that_cannot_be_trained_is_there_with_the_reason(
    web: FastAPI, session: Session, settings: Settings, version: DatasetVersion, me: Person
) -> None:
    web.state.settings = settings.model_copy(update={"base_model": "somebody/elsewhere"})
    client = sign_in(web, session, settings, me)
    page = client.get("/runs/new")
    first, second = page.context["bases"]
    assert first.is_off and "is not on this machine" in first.note
    assert not second.is_off
    assert page.context["why_not"].startswith("Weights: ")


def test_findings_have_words_for_readers(client: TestClient, version: DatasetVersion) -> None:
    page = client.get("/runs/new")
    assert page.context["counted"] == checks.counted(page.context["assessment"].findings)
    assert '<span class="sr">cannot tell</span>' in page.text
