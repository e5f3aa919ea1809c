"""Which caption files stand beside which picture: "a.txt" and "a.jpg.txt" beside "a.jpg".

Worked out group by group of names that begin alike, so that a million captions take no more memory than one.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby

from sqlalchemy import select

from app.intake import staging
from app.intake.describing import Begin, IntakeRemarks
from app.intake.metadata import key_of
from app.intake.staging import CAPTION_SUFFIXES, GivenText
from app.intake.tables import IntakeFile

_KINDS = ("picture", "photo", "caption")
Stems = tuple[str, str]


def give_captions(begin: Begin, remarks: IntakeRemarks, stems: Stems | None = None) -> int:
    """Put the texts of caption files with the pictures they stand beside, and say of the others why not.

    `stems`: only among the entries of these, the first and the last counted. Returns how many caption files stand
    beside a picture.
    """
    with begin() as session:
        is_caption = [IntakeFile.intake_id == remarks.intake_id, IntakeFile.kind == "caption"]
        if stems is not None:
            is_caption += [IntakeFile.stem >= stems[0], IntakeFile.stem <= stems[1]]
        if session.scalar(select(IntakeFile.id).where(*is_caption).limit(1)) is None:
            return 0
    used, left = 0, list[str]()
    changes: list[dict[str, object]] = []
    for group in _groups(begin, remarks.intake_id, stems):
        beside, lonely = _beside(group)
        used += len({row.id for its in beside.values() for row in its})
        left += [row.name for row in lonely]
        by_id = {row.id: row for row in group}
        changes += [_with(by_id[picture_id], its, remarks) for picture_id, its in beside.items()]
        if len(changes) >= staging.PAGE:
            _keep(begin, remarks, changes)
    _keep(begin, remarks, changes)
    _remark_left(begin, remarks, sorted(left))
    return used


def _keep(begin: Begin, remarks: IntakeRemarks, changes: list[dict[str, object]]) -> None:
    with begin() as session:
        staging.change(session, changes)
        remarks.keep(session)
    changes.clear()


def _groups(begin: Begin, intake_id: int, stems: Stems | None) -> Iterator[list[IntakeFile]]:
    """The pictures and captions whose names begin alike, where there are both."""
    first, last = stems or ("", None)
    after, waiting = (first, 0), list[IntakeFile]()
    while True:
        with begin() as session:
            rows = staging.page_by_stem(session, intake_id, _KINDS, after, last)
        groups = [list(its) for _, its in groupby([*waiting, *rows], key=lambda row: row.stem)]
        # The last group may go on with the next page.
        waiting = groups.pop() if rows and groups else []
        yield from (group for group in groups if any(row.kind == "caption" for row in group))
        if not rows:
            return
        after = (rows[-1].stem, rows[-1].id)


def _beside(group: Sequence[IntakeFile]) -> tuple[dict[int, list[IntakeFile]], list[IntakeFile]]:
    """The captions by the ids of the pictures that they stand beside; and those beside none.

    Capitals make no difference where only one picture can be meant.
    """
    texts: dict[str, list[IntakeFile]] = defaultdict(list)
    captions = [row for row in group if row.kind == "caption"]
    for row in sorted(captions, key=lambda row: (not row.name.lower().endswith(CAPTION_SUFFIXES[0]), row.name)):
        texts[key_of(posixpath.splitext(row.name)[0])].append(row)
    pictures = {row.id: key_of(row.name) for row in group if row.kind != "caption"}
    alike: dict[str, set[str]] = defaultdict(set)
    for key in pictures.values():
        for stem in (key, posixpath.splitext(key)[0]):
            alike[stem.casefold()].add(key)
    exact = {stem for key in pictures.values() for stem in (key, posixpath.splitext(key)[0])}
    for stem in [stem for stem in texts if stem not in exact and len(alike[stem.casefold()]) == 1]:
        (key,) = alike[stem.casefold()]
        texts[key] += texts.pop(stem)
    for stem in [stem for stem in texts if stem not in exact]:
        # A sample of a shard is called by what stands before the first dot: "1.txt" is of "1.front.jpg" too.
        of_sample = [row for row in group if _is_of_sample(row, stem)]
        for row in of_sample:
            texts[pictures[row.id]] += texts[stem]
    beside: dict[int, list[IntakeFile]] = {}
    for picture_id, key in pictures.items():
        if its := [*texts.get(key, ()), *texts.get(posixpath.splitext(key)[0], ())]:
            beside[picture_id] = its
    used = {row.id for its in beside.values() for row in its}
    return beside, [row for row in captions if row.id not in used]


def _is_of_sample(row: IntakeFile, key: str) -> bool:
    folder, own = posixpath.split(key_of(row.name))
    is_in_shard = "steps" in row.locator and row.locator["steps"][-1][0] == "tar"
    return row.kind == "picture" and is_in_shard and posixpath.join(folder, own.split(".", 1)[0]) == key


def _with(picture: IntakeFile, captions: Sequence[IntakeFile], remarks: IntakeRemarks) -> dict[str, object]:
    """The columns of a picture with what stands beside it."""
    given, said = list[GivenText](), picture.said
    for row in captions:
        if row.reason is not None:
            remarks.remark("unread", row.name, 0, picture.name, row.reason)
            continue
        said = said or row.said
        if row.text is not None:
            given.append(GivenText(row.text, row.name))
    before = [text for text in staging.given_of(picture) if text not in given]
    return {"id": picture.id, "said": said, "given": [asdict(text) for text in [*before, *given]] or None}


def _remark_left(begin: Begin, remarks: IntakeRemarks, left: Sequence[str]) -> None:
    """Say of caption files that stand beside no picture so. A text that is called like none may be anybody's notes."""
    wanted = {_letters(name) for name in left}
    alike: dict[str, str] = {}
    after = 0
    while wanted:
        with begin() as session:
            names = [(row.id, row.name) for row in staging.page(session, remarks.intake_id, ("picture",), after)]
        if not names:
            break
        after = names[-1][0]
        for _, name in names:
            if (letters := _letters(name)) in wanted:
                alike.setdefault(letters, name)
    for name in left:
        likely = alike.get(_letters(name))
        if likely is not None or name.lower().endswith(".caption"):
            stem = posixpath.splitext(posixpath.basename(name))[0]
            hint = f"; there is {likely}" if likely else ""
            remarks.remark("unread", name, 0, name, f"No picture beside it is called {stem}{hint}.")
    with begin() as session:
        remarks.keep(session)


def _letters(name: str) -> str:
    """The letters and digits of a file's own name, without its extension."""
    stem = posixpath.splitext(posixpath.basename(key_of(name)))[0]
    return "".join(letter for letter in stem.casefold() if letter.isalnum())
