"""Batches: order by seed and epoch, squares without cropping, captions dropped and padded."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from app.datasets.manifest import ManifestRow, read_manifest, write_manifest
from app.storage import Storage
from app.training.recipe import Recipe
from workers.errors import InputError
from workers.families.prx_pixel import PrxPixel, load
from workers.finetune import batches
from workers.finetune.batches import Batch, Members, Texts, captions_of, first_sentence, picture_name, training_batches
from workers.finetune.buckets import Walk, nearest, sizes
from workers.finetune.cache import TensorCache, identity, name_of, packed, unpacked
from workers.finetune.pictures import read_fitted
from workers.finetune.ranks import Ranks

MakeRecipe = Callable[..., Recipe]
TEAL, GREY = (0, 128, 128), (200, 200, 200)


def captions(rows: list[ManifestRow]) -> list[str]:
    """Every caption, its first sentence, and nothing."""
    return sorted({row.caption for row in rows} | {first_sentence(row.caption) for row in rows} | {""})


def picture(folder: Path, size: tuple[int, int], mode: str = "RGB") -> Path:
    """A teal product on grey that touches no edge."""
    drawn = Image.new("RGB", size, GREY)
    width, height = size
    drawn.paste(TEAL, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
    drawn.convert(mode).save(folder / "picture.png")
    return folder / "picture.png"


@pytest.mark.parametrize("size", [(64, 64), (64, 32), (20, 60), (16, 16), (24, 24)])
def test_a_picture_fills_a_square_uncropped_on_its_own_background(tmp_path: Path, size: tuple[int, int]) -> None:
    square = read_fitted(picture(tmp_path, size), (32, 32))
    assert square.shape == (32, 32, 3)
    assert square.dtype == np.uint8
    assert (square[0] == GREY).all()
    assert (square[:, 0] == GREY).all()
    product = (np.abs(square.astype(int) - TEAL).sum(axis=2) < 60).nonzero()
    height, width = np.ptp(product[0]) + 1, np.ptp(product[1]) + 1
    assert width / height == pytest.approx(size[0] / size[1], rel=0.25)


def test_a_picture_of_the_right_size_is_left_alone(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert (read_fitted(tmp_path / "noise.png", (32, 32)) == noise).all()


def test_transparency_becomes_white_and_rotation_is_undone(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_fitted(tmp_path / "clear.png", (8, 8)) == 255).all()
    drawn = Image.new("RGB", (8, 8), "black")
    drawn.paste((255, 255, 255), (0, 0, 8, 2))
    exif = drawn.getexif()
    exif[0x0112] = 3
    drawn.save(tmp_path / "turned.png", exif=exif)
    assert read_fitted(tmp_path / "turned.png", (8, 8))[-1].min() == 255


@pytest.mark.parametrize("content", [b"", b"GIF89a nonsense", None])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.png cannot be read"):
        read_fitted(tmp_path / "bad.png", (8, 8))


def test_a_cut_off_picture_is_named(tmp_path: Path) -> None:
    whole = picture(tmp_path, (64, 64)).read_bytes()
    (tmp_path / "picture.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"picture\.png cannot be read"):
        read_fitted(tmp_path / "picture.png", (8, 8))


def shown(walk: Walk, count: int) -> list[list[int]]:
    return [walk.at(index) for index in range(count)]


def test_each_epoch_shows_every_member_once_in_an_order_of_its_own() -> None:
    flat = [member for micro in shown(Walk([range(7)], 3, 5), 14) for member in micro]
    epochs = [flat[start : start + 7] for start in range(0, 42, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 3


@pytest.mark.parametrize(("counts", "micro"), [((7, 3, 1), 4), ((1, 1, 1), 2), ((100, 9), 8), ((5,), 1), ((2,), 6)])
def test_buckets_are_never_mixed_and_every_member_has_its_turn(counts: tuple[int, ...], micro: int) -> None:
    starts = [sum(counts[:i]) for i in range(len(counts))]
    buckets = [list(range(start, start + count)) for start, count in zip(starts, counts, strict=True)]
    total = sum(counts)
    batches = shown(Walk([*buckets, []], micro, 1), 20 * total)
    for batch in batches:
        assert len(batch) == micro
        assert any(set(batch) <= set(bucket) for bucket in buckets)
    turns = Counter(member for batch in batches for member in batch)
    # Over many rounds nobody is more than one round of their bucket ahead of anybody.
    assert set(turns) == set(range(total))
    assert max(turns.values()) - min(turns.values()) <= micro + 1


def test_any_moment_of_a_walk_is_known_without_walking_there() -> None:
    buckets = [list(range(9)), list(range(9, 14))]
    there = shown(Walk(buckets, 4, 7, 0), 40)
    assert [Walk(buckets, 4, 7, 0).at(index) for index in (39, 0, 17)] == [there[39], there[0], there[17]]
    assert there != shown(Walk(buckets, 4, 8, 0), 40)
    assert there != shown(Walk(buckets, 4, 7, 1), 40)


def test_sizes_keep_the_area_and_the_multiple() -> None:
    assert sizes(512, 16, has_buckets=False) == [(512, 512)]
    found = sizes(512, 16, has_buckets=True)
    assert (512, 512) in found
    assert len(found) == 13
    for width, height in found:
        assert width % 16 == height % 16 == 0
        assert 0.45 <= width / height <= 2.2
        assert width * height == pytest.approx(512 * 512, rel=0.06)
    assert found[nearest(300, 900, found)] == min(found, key=lambda size: size[0] / size[1])
    assert found[nearest(1000, 1010, found)] == (512, 512)


@pytest.fixture
def family(tiny_base: Path) -> PrxPixel:
    return load(str(tiny_base), torch.device("cpu"))


def look(done: int, total: int) -> None:
    assert 0 < done <= total


def training(manifest: Path, family: Any, has_buckets: bool = False, size_px: int = 16) -> Members:
    rows = [row for row in read_manifest(manifest) if row.split == "train"]
    texts = Texts(captions(rows), family, None, look)
    return Members(rows, manifest.parent, family, texts, size_px, has_buckets)


@pytest.fixture
def members(manifest: Path, family: PrxPixel) -> Members:
    return training(manifest, family)


def test_dropped_captions_leave_no_token(members: Members) -> None:
    batch = members.batch([0, 1, 2], [0, 1, 2], [members.caption(0), "", members.caption(2)])
    assert batch.text["mask"].sum(dim=1).tolist() == [2, 0, 2]
    assert batch.pictures is not None
    assert batch.pictures.shape == (3, 16, 16, 3)
    assert batch.pictures.dtype == torch.uint8
    assert batch.text["tokens"].shape[:2] == batch.text["mask"].shape
    assert members.batch([0], [0], [""]).text["mask"].tolist() == [[False]]


def flat(batches: list[list[batches.Batch]]) -> list[batches.Batch]:
    return [batch for step in batches for batch in step]


def test_starting_in_the_middle_gives_the_same_batches(members: Members, recipe: MakeRecipe) -> None:
    knobs = recipe(steps=6, batch_size=4, micro_batch=2, caption_dropout=0.5)
    whole = list(training_batches([members], knobs, 0))
    late = list(training_batches([members], knobs, 4))
    assert (len(whole), len(late)) == (6, 2)
    for one, other in zip(flat(whole[4:]), flat(late), strict=True):
        assert torch.equal(one.pictures, other.pictures)  # type: ignore[arg-type]
        assert torch.equal(one.text["tokens"], other.text["tokens"])
        assert one.places == other.places


def test_processes_share_a_step_without_changing_it(members: Members, recipe: MakeRecipe) -> None:
    knobs = recipe(steps=3, batch_size=8, micro_batch=2, caption_dropout=0.5)
    alone = list(training_batches([members], knobs, 0))
    shares = [list(training_batches([members], knobs, 0, rank, 2)) for rank in range(2)]
    for step, batches_ in enumerate(alone):
        joined = [batch for pair in zip(shares[0][step], shares[1][step], strict=True) for batch in pair]
        assert [batch.places for batch in joined] == [batch.places for batch in batches_]
        for one, other in zip(joined, batches_, strict=True):
            assert torch.equal(one.pictures, other.pictures)  # type: ignore[arg-type]


def test_a_finished_run_has_no_batches_left(members: Members, recipe: MakeRecipe) -> None:
    assert list(training_batches([members], recipe(steps=6), 6)) == []


def test_the_second_stage_has_its_own_size_and_walk(
    manifest: Path, family: PrxPixel, members: Members, recipe: MakeRecipe
) -> None:
    knobs = recipe(steps=4, batch_size=4, second_from=0.5, second_resolution_px=32, second_batch_size=2)
    found = flat(list(training_batches([members, training(manifest, family, size_px=32)], knobs, 0)))
    assert [tuple(batch.pictures.shape[:2]) for batch in found] == [(4, 16), (4, 16), (2, 32), (2, 32)]  # type: ignore[union-attr]


def test_pictures_too_many_for_memory_are_read_when_needed(
    manifest: Path, family: PrxPixel, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "KEPT_IN_MEMORY_BYTES", 100)
    reading = training(manifest, family)
    one, other = reading.batch([3, 1], [0, 1]), members.batch([3, 1], [0, 1])
    assert torch.equal(one.pictures, other.pictures)  # type: ignore[arg-type]
    rows = [row for row in read_manifest(manifest) if row.split == "train"]
    (manifest.parent / rows[3].file).unlink()
    with pytest.raises(InputError):
        reading.batch([3], [0])


def test_rows_that_are_all_alike_are_kept_once_and_put_back_to_the_bit() -> None:
    words, padding = torch.randn(5, 4), torch.zeros(3, 4)
    for tokens, kept in (
        (torch.cat([words, padding]), 6),
        (torch.cat([words, words[-1:], words[-1:]]), 5),
        (padding, 1),
        (words, 5),
        (words[:1], 1),
        (words[:0], 0),
    ):
        text = {"tokens": tokens.bfloat16(), "pooled": torch.ones(2)}
        small = packed(text)
        assert len(small["tokens"]) == kept
        whole = unpacked(small)
        assert whole.keys() == text.keys()
        assert all(torch.equal(whole[name], text[name]) for name in text)


def test_first_sentences_are_encoded_only_where_captions_are_cut(manifest: Path, recipe: MakeRecipe) -> None:
    long = [replace(row, caption=f"{row.caption}. Seen from above.") for row in read_manifest(manifest)]
    learned, held_out = [r for r in long if r.split == "train"], [r for r in long if r.split == "validation"]
    whole = {row.caption for row in long}
    assert captions_of(learned, held_out, recipe(short_caption_share=0.0)) == sorted(whole | {""})
    short = {first_sentence(row.caption) for row in learned}
    assert captions_of(learned, held_out, recipe(short_caption_share=0.1)) == sorted(whole | short | {""})
    assert captions_of(learned[:1], held_out[-1:], recipe(short_caption_share=0.1)) == sorted(
        {"", learned[0].caption, first_sentence(learned[0].caption), held_out[-1].caption}
    )


def test_a_small_picture_is_enlarged_so_many_times_and_no_more(tmp_path: Path) -> None:
    file = picture(tmp_path, (16, 16))

    def product_px(bound: float) -> int:
        fitted = read_fitted(file, (64, 64), enlarge_at_most=bound)
        assert fitted.shape == (64, 64, 3)
        assert (fitted[0] == GREY).all()
        return int(np.ptp((np.abs(fitted.astype(int) - TEAL).sum(axis=2) < 60).nonzero()[1])) + 1

    assert product_px(0.0) == pytest.approx(32, abs=3)
    assert product_px(1.5) == pytest.approx(12, abs=2)
    # A larger one is made smaller as ever.
    large = picture(tmp_path, (200, 100))
    assert (read_fitted(large, (64, 64), enlarge_at_most=1.5) == read_fitted(large, (64, 64))).all()


def test_other_bytes_than_the_manifests_are_refused(tmp_path: Path) -> None:
    file = picture(tmp_path, (16, 16))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read_fitted(file, (8, 8), digest.upper()).shape == (8, 8, 3)
    with pytest.raises(InputError, match=rf"picture\.png is not the one in the manifest: its SHA-256 is {digest}"):
        read_fitted(file, (8, 8), "0" * 64)


def test_each_photo_says_how_large_it_was(manifest: Path, family: PrxPixel) -> None:
    rows = [replace(row, width_px=300, height_px=200) for row in read_manifest(manifest)]
    given = Members(rows, manifest.parent, family, Texts(captions(rows), family, None, look), 16, False)
    assert given.batch([2, 0], [0, 1]).text["original_px"].tolist() == [[200.0, 300.0]] * 2


@pytest.mark.parametrize(
    ("caption", "short"),
    [("A red mug. On white.", "A red mug."), ("A red mug", "A red mug"), ("Size 3.5 shoe", "Size 3.5 shoe"), ("", "")],
)
def test_a_short_caption_is_the_first_sentence(caption: str, short: str) -> None:
    assert first_sentence(caption) == short


def test_a_share_of_captions_is_short(manifest: Path, family: PrxPixel, recipe: MakeRecipe) -> None:
    rows = [ManifestRow(**{**vars(row), "caption": "Red box. Seen from above."}) for row in read_manifest(manifest)]
    given = Members(rows, manifest.parent, family, Texts(captions(rows), family, None, look), 16, False)
    knobs = recipe(steps=40, batch_size=4, caption_dropout=0.0, short_caption_share=0.25)
    lengths = [
        n for batch in flat(list(training_batches([given], knobs, 0))) for n in batch.text["mask"].sum(1).tolist()
    ]
    assert set(lengths) == {min(lengths), max(lengths)}
    assert lengths.count(min(lengths)) / len(lengths) == pytest.approx(0.25, abs=0.08)


def test_texts_are_encoded_once_and_found_again(manifest: Path, family: PrxPixel, tmp_path: Path) -> None:
    rows = read_manifest(manifest)
    cache = TensorCache(tmp_path / "cache")
    first = Texts(captions(rows), family, cache, look)
    asked: list[str] = []

    class Deaf:
        name, encoder_files, encoder_precision = family.name, family.encoder_files, family.encoder_precision

        def encode_texts(self, texts: list[str]) -> list[dict[str, torch.Tensor]]:
            asked.extend(texts)
            return [dict(text) for text in family.encode_texts(texts)]

    again = Texts(captions(rows), Deaf(), cache, look)  # type: ignore[arg-type]
    assert asked == []
    assert torch.equal(first.batch(["red box"])["tokens"], again.batch(["red box"])["tokens"])
    rows[0] = ManifestRow(**{**vars(rows[0]), "caption": "a new caption"})
    Texts(captions(rows), Deaf(), cache, look)  # type: ignore[arg-type]
    assert asked == ["a new caption"]


def test_several_processes_encode_a_part_each(manifest: Path, family: PrxPixel, tmp_path: Path) -> None:
    rows = read_manifest(manifest)
    asked: list[list[str]] = []

    class Telling:
        name, encoder_files, encoder_precision = family.name, family.encoder_files, family.encoder_precision

        def encode_texts(self, texts: list[str]) -> list[dict[str, torch.Tensor]]:
            asked.append(list(texts))
            return [dict(text) for text in family.encode_texts(texts)]

    class Second(Ranks):
        """The second of two; while it waits for the first, the first does its part."""

        def wait(self) -> None:
            if self.rank == 1 and len(asked) == 1:
                Texts(captions(rows), Telling(), cache, look, Second(0, 2))  # type: ignore[arg-type]

    cache = TensorCache(tmp_path / "cache")
    texts = Texts(captions(rows), Telling(), cache, look, Second(1, 2))  # type: ignore[arg-type]
    assert asked[0] == texts.captions[1::2]
    assert sorted(caption for chunk in asked for caption in chunk) == texts.captions
    assert texts.batch(texts.captions)["mask"].shape[0] == len(texts.captions)


def test_texts_too_many_for_memory_are_read_when_needed(
    manifest: Path, family: PrxPixel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_manifest(manifest)
    whole = Texts(captions(rows), family, None, look)
    monkeypatch.setattr(batches, "KEPT_IN_MEMORY_BYTES", 0)
    reading = Texts(captions(rows), family, TensorCache(tmp_path / "cache"), look)
    assert torch.equal(reading.batch(["red box", ""])["tokens"], whole.batch(["red box", ""])["tokens"])
    shutil.rmtree(tmp_path / "cache")
    assert torch.equal(reading.batch(["blue box"])["tokens"], whole.batch(["blue box"])["tokens"])


def test_another_encoder_is_another_name(tmp_path: Path) -> None:
    for name, word in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text(word)
    one, two, three = (identity([tmp_path / name]) for name in ("one", "two", "three"))
    assert one == two != three
    assert name_of("text", one, "red") != name_of("text", three, "red")
    assert name_of("text", one, "red") != name_of("text", one, "red ")


def test_an_encoder_that_computes_in_bf16_does_not_find_what_one_in_fp32_made(
    manifest: Path, tiny_base: Path, tmp_path: Path
) -> None:
    rows, cache = read_manifest(manifest), TensorCache(tmp_path / "cache")
    Texts(captions(rows), load(str(tiny_base), torch.device("cpu")), cache, look)
    narrow = load(str(tiny_base), torch.device("cpu"))
    narrow.pipeline.text_encoder.to(torch.bfloat16)
    (own,) = narrow.encode_texts(["red box"])
    assert torch.equal(Texts(captions(rows), narrow, cache, look).batch(["red box"])["tokens"][0], own["tokens"])
    assert torch.equal(Texts(captions(rows), narrow, cache, look).batch(["red box"])["tokens"][0], own["tokens"]), (
        "kept as well"
    )


def test_what_is_kept_of_a_picture_lies_where_it_goes_with_the_photo(tmp_path: Path, family: PrxPixel) -> None:
    storage = Storage(tmp_path)
    cache, sha256 = TensorCache(storage.cache_folder), "ab" * 32
    for made_by in ("one", "two"):
        cache.put(name := picture_name(family, made_by, sha256, (16, 16)), {"clean": torch.ones(1)})
        assert cache.has(name) and cache.get(name) is not None
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent for path in kept] == [storage.encoded_folder(sha256)] * 2


def test_a_torn_cache_file_is_made_again(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path)
    name = name_of("x")
    cache.put(name, {"t": torch.ones(64)})
    file = next(tmp_path.rglob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-7])
    assert cache.get(name) is None
    cache.put(name, {"t": torch.ones(64)})
    assert cache.get(name) is not None
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [file.name]


def test_a_repeated_member_is_shown_as_often_in_one_time_round(
    manifest: Path, family: PrxPixel, recipe: MakeRecipe
) -> None:
    first, *others = read_manifest(manifest)
    rows = [replace(first, repeats=3, caption="Repeated box."), *others]
    write_manifest(manifest, rows)
    rows = read_manifest(manifest)
    texts = Texts(captions(rows), family, None, look)
    given = Members(rows, manifest.parent, family, texts, 16, False)
    steps = len(rows) + 2
    assert len(given) == len(rows) and sum(map(len, given.buckets)) == steps
    drawn: list[int] = []
    batch = given.batch

    def noted(indices: list[int], places: list[int], words: list[str] | None = None) -> Batch:
        drawn.extend(indices)
        return batch(indices, places, words)

    given.batch = noted  # type: ignore[assignment, method-assign]
    list(training_batches([given], recipe(steps=steps, batch_size=1, caption_dropout=0.0), 0))
    assert Counter(drawn) == {0: 3, **dict.fromkeys(range(1, len(rows)), 1)}
