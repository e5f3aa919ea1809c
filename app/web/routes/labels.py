"""Labels: a catalog's sets on their page, and labels given to one photo or to a selection.

A script that asks for JSON gets what happened; a plain form is led on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Final

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.bulk import imports, label_importing, undoing
from app.catalog import reading
from app.database import utc_now
from app.errors import NotFound, Refused
from app.labels import files, giving, sets
from app.labels.giving import LabelAct
from app.labels.tables import LabelSet
from app.people import Person
from app.review.decisions import name_of
from app.selection import browse
from app.selection.query import Selection
from app.web import errors, tables
from app.web.dependencies import CurrentPerson, Page, Read, Sent, Write
from app.web.leading import Receipt, lead
from app.web.routes import operations
from app.web.security import safe_next
from app.web.views import blind
from app.web.views import imports as imports_view
from app.web.views import labels as view

router = APIRouter()
Text = Annotated[str, Form()]
MAX_REQUEST_BYTES: Final = imports.MAX_FILE_BYTES + (1 << 20)

Change = Callable[[Session, LabelSet, Person, str, int], object]
_CHANGES: Final[dict[str, Change]] = {
    "retire": lambda session, row, me, _, __: sets.retire(session, row, me),
    "return": lambda session, row, me, _, __: sets.retire(session, row, me, is_back=True),
    "up": lambda session, row, me, _, __: sets.move(session, row, me, -1),
    "down": lambda session, row, me, _, __: sets.move(session, row, me, 1),
    "add": lambda session, row, me, name, _: sets.add_label(session, row, me, name),
    "rename-label": lambda session, row, me, name, number: sets.rename_label(session, row, number, me, name),
    "retire-label": lambda session, row, me, _, number: sets.retire_label(session, row, number, me),
    "return-label": lambda session, row, me, _, number: sets.retire_label(session, row, number, me, is_back=True),
    "up-label": lambda session, row, me, _, number: sets.move_label(session, row, number, me, -1),
    "down-label": lambda session, row, me, _, number: sets.move_label(session, row, number, me, 1),
}


@router.get("/catalogs/{catalog_id}/labels")
def show(catalog_id: int, session: Read, page: Page) -> HTMLResponse:
    """The label sets of a catalog, what was said in them, and forms that change them."""
    catalog = reading.get(session, catalog_id)
    return page("labels/labels.html", view.read(session, catalog, browse.count(session, Selection(catalog_id))))


@router.get("/catalogs/{catalog_id}/labels.csv")
def as_table(catalog_id: int, request: Request, session: Read, me: CurrentPerson) -> Response:
    """All labels as a table, a row each."""
    reading.get(session, catalog_id)
    name, unseen = f"labels-of-catalog-{catalog_id}.csv", blind.hidden(session, me)

    def rows(reader: Session) -> Iterator[list[str]]:
        return files.csv_rows(files.records(reader, catalog_id, unseen))

    return tables.answer(request, name, files.FIELDS, rows)


@router.get("/catalogs/{catalog_id}/labels.jsonl")
def as_json_lines(catalog_id: int, request: Request, session: Read, me: CurrentPerson) -> Response:
    """All labels as JSON, an object a line."""
    reading.get(session, catalog_id)
    name, unseen = f"labels-of-catalog-{catalog_id}.jsonl", blind.hidden(session, me)
    return tables.json_lines(request, name, lambda reader: files.records(reader, catalog_id, unseen))


@router.get("/catalogs/{catalog_id}/label-sets/{set_id}.zip")
def as_sidecars(catalog_id: int, set_id: int, request: Request, session: Read) -> Response:
    """The labels of one set as text files, each named like its photo, labels between commas."""
    reading.get(session, catalog_id)
    files.check_parts(sets.get(session, set_id, catalog_id))

    def texts(reader: Session) -> Iterator[tuple[int, str]]:
        return files.texts(reader, sets.get(reader, set_id, catalog_id))

    return tables.sidecars_of(request, f"labels-of-set-{set_id}.zip", catalog_id, texts)


@router.post("/catalogs/{catalog_id}/labels/imports", max_body_size=MAX_REQUEST_BYTES)
def read_in(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    chosen: Annotated[UploadFile, File()],
    set_name: Text = "",
) -> Response:
    """Read a file and keep what it says, to be shown; nothing is changed yet. A ZIP is one of sidecars, whose labels
    are of the set `set_name`."""
    reading.get(session, catalog_id)
    read = label_importing.read_in(session, catalog_id, me, chosen.filename or "labels.csv", chosen.file, set_name)
    if not errors.wants_json(request):
        return RedirectResponse(f"/catalogs/{catalog_id}/labels/imports/{read.id}", 303)
    return JSONResponse(imports_view.as_json(session, read))


@router.get("/catalogs/{catalog_id}/labels/imports/{import_id}")
def show_import(catalog_id: int, import_id: int, session: Read, page: Page) -> HTMLResponse:
    """What a file would do, or did."""
    return page("operations/import.html", imports_view.read(session, catalog_id, "labels", import_id))


@router.post("/catalogs/{catalog_id}/labels/imports/{import_id}")
def bring_in(
    catalog_id: int,
    import_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    takes_over: Annotated[bool, Form()] = False,
) -> Response:
    """Bring a file in that was shown, as one operation; with `takes_over` also where somebody else answered otherwise.

    A file that only names sets and labels has no photos to change: they are made, and that is all."""
    read = imports.get(session, catalog_id, "labels", import_id)
    operation = label_importing.carry_out(session, read, me, takes_over=takes_over)
    if operation is None:
        done, status = {"sentence": label_importing.ONLY_NAMED, "changed": 0}, 200
    else:
        done, status = imports_view.carried_out(session, operation, me)
    if errors.wants_json(request):
        return JSONResponse(done, status)
    if operation is None:
        return lead(request, f"/catalogs/{catalog_id}/labels", Receipt(label_importing.ONLY_NAMED))
    return RedirectResponse(f"/catalogs/{catalog_id}/labels/imports/{import_id}", 303)


@router.post("/catalogs/{catalog_id}/label-sets")
def define(
    catalog_id: int,
    session: Write,
    me: CurrentPerson,
    name: Text = "",
    kind: Text = "one",
    labels: Text = "",
    key: Text = "",
) -> Response:
    """A new set; `labels` one a line."""
    made = sets.define(session, catalog_id, me, name, kind, labels.splitlines(), key or None)
    return RedirectResponse(f"/catalogs/{catalog_id}/labels#set-{made.id}", 303)


@router.post("/catalogs/{catalog_id}/label-sets/{set_id}")
def change(
    catalog_id: int,
    set_id: int,
    session: Write,
    me: CurrentPerson,
    act: Text,
    name: Text = "",
    key: Text = "",
    label: Annotated[int, Form()] = 0,
) -> Response:
    """Change a set, or its label of the number `label`: see `_CHANGES`; `rename` takes a name and a key."""
    reading.get(session, catalog_id)
    label_set = sets.get(session, set_id, catalog_id)
    if act == "rename":
        sets.rename(session, label_set, me, name, key or None)
    elif act in _CHANGES:
        _CHANGES[act](session, label_set, me, name, label)
    else:
        raise Refused(f"“{act}” is nothing that can be done with a label set.")
    return RedirectResponse(f"/catalogs/{catalog_id}/labels#set-{set_id}", 303)


@router.post("/catalogs/{catalog_id}/labels")
def give_selection(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    sent: Sent,
    label: Text,
    q: Text = "",
    expected_count: Annotated[int | None, Form()] = None,
    takes: Annotated[bool, Form()] = False,
    replaces: Annotated[bool, Form()] = False,
    next: Text = "",
) -> Response:
    """A label on every photo that matches `q`, as one act; another person's other answer stays unless it `replaces`."""
    reading.get(session, catalog_id)
    act = _act(session, catalog_id, label, _typed(sent, label), takes)
    return _give_all(
        request, session, me, blind.chosen(session, me, q, catalog_id), act, replaces, expected_count, next
    )


@router.post("/catalogs/{catalog_id}/tags")
def tag_selection(
    catalog_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    tag: Text = "",
    q: Text = "",
    expected_count: Annotated[int | None, Form()] = None,
    takes: Annotated[bool, Form()] = False,
    next: Text = "",
) -> Response:
    """A tag on every photo that matches `q`, or taken from them, as one act; a new tag is made by being given."""
    reading.get(session, catalog_id)
    selection = blind.chosen(session, me, q, catalog_id)
    act = LabelAct(*sets.tag(session, catalog_id, me, tag, is_new=not takes), takes)
    return _give_all(request, session, me, selection, act, False, expected_count, next)


@router.post("/images/{image_id}/labels")
def give(
    image_id: int,
    request: Request,
    session: Write,
    me: CurrentPerson,
    sent: Sent,
    label: Text,
    takes: Annotated[bool, Form()] = False,
    expected_id: Annotated[int | None, Form()] = None,
    next: Text = "",
) -> Response:
    """A label on one photo, or taken from it. `expected_id` is what the person saw in that set."""
    image, began = reading.photo(session, image_id), utc_now()
    act = _act(session, image.catalog_id, label, _typed(sent, label), takes)
    with blind.unnamed(session, me, image_id):
        given = giving.give(session, image, me, act, expected_id)
    sentence = f"{_done(act)} {name_of(image)}"
    if not errors.wants_json(request):
        return lead(request, safe_next(next) if next else f"/images/{image_id}", Receipt(sentence))
    return JSONResponse({"sentence": sentence, "changed": int(undoing.was_said(given, me, began))})


def _give_all(
    request: Request,
    session: Session,
    me: Person,
    selection: Selection,
    act: LabelAct,
    replaces: bool,
    expected_count: int | None,
    next: str,
) -> Response:
    value = {
        "set_id": act.label_set.id, "value_id": act.value.id if act.value else None,
        "is_taken": act.is_taken, "replaces": replaces,
    }  # fmt: skip
    return operations.answer(request, session, me, selection, "label", value, expected_count, next)


def _typed(sent: Sent, label: str) -> str:
    """The text that was typed for a set of free text: each set's field carries the set's number."""
    return str(sent.get(f"text-{label.partition(':')[0]}", ""))


def _act(session: Session, catalog_id: int, label: str, text: str, takes: bool) -> LabelAct:
    """What `label` asks for: `SET:LABEL` by number, `SET:text` the text beside it, `SET:` all that was said in the set.

    Raises NotFound, and Refused for a text that cannot be kept.
    """
    number, _, which = label.partition(":")
    if not number.isdecimal() or len(number) > 18:
        raise NotFound("There is no such label set.")
    label_set = sets.get(session, int(number), catalog_id)
    if not which or (which == "text" and not text.strip()):
        return LabelAct(label_set, None, is_taken=True)
    if which == "text":
        return LabelAct(label_set, sets.value_of_text(session, label_set, text), takes)
    value = next((value for value in label_set.values if str(value.id) == which), None)
    if value is None:
        raise NotFound(f"“{label_set.name}” has no such label.")
    return LabelAct(label_set, value, takes)


def _done(act: LabelAct) -> str:
    """What was done: "Labelled view front:", "Took view front from"."""
    what = act.label_set.name if act.value is None else f"{act.label_set.name} “{act.value.name}”"
    return f"Took {what} from" if act.is_taken else f"Gave {what} to"
