"""The nano base's text side: words never met stay apart, order counts, and the folder stays small."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workers.families import nano
from workers.families.prx_pixel import PrxPixel, load


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nano") / "untrained"
    nano.build(folder, seed=7)
    return folder


@pytest.fixture(scope="module")
def family(untrained: Path) -> PrxPixel:
    return load(str(untrained), torch.device("cpu"))


def likeness(family: PrxPixel, one: str, other: str) -> float:
    """Cosine of the mean encodings: 1 for texts that cannot be told apart."""
    first, second = (text["tokens"].mean(dim=0) for text in family.encode_texts([one, other]))
    return float(torch.nn.functional.cosine_similarity(first, second, dim=0))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("zlorf", "quimbly"),  # met by nobody
        ("zlorf", "florz"),  # anagrams
        ("kettle", "lamp"),
        ("red", "blue"),
    ],
)
def test_two_words_are_far_apart(family: PrxPixel, one: str, other: str) -> None:
    assert likeness(family, one, other) < 0.6
    assert likeness(family, f"Red {one}.", f"Red {other}.") < 0.95


def test_which_noun_a_colour_belongs_to_can_be_read(family: PrxPixel) -> None:
    red_mug, white_mug = family.encode_texts(["red mug on a white background", "white mug on a red background"])
    noun = torch.nn.functional.cosine_similarity(red_mug["tokens"][1], white_mug["tokens"][1], dim=0)
    assert noun < 0.95


def test_capitals_and_place_in_the_sentence_do_not_change_a_word(family: PrxPixel) -> None:
    tokenizer = family.pipeline.tokenizer
    assert tokenizer.tokenize("Kettle") == tokenizer.tokenize("kettle")
    assert tokenizer.tokenize("red Kettle")[1:] == tokenizer.tokenize("kettle")


def test_catalogue_words_are_one_piece_and_nothing_is_unknown(family: PrxPixel) -> None:
    tokenizer = family.pipeline.tokenizer
    for word in ("mug", "bottle", "kettle", "sneaker", "backpack", "turquoise", "background"):
        assert len(tokenizer.tokenize(word)) == 1, word
    text = "żółć 🫖 zlorf-9"
    assert tokenizer.decode(tokenizer(text)["input_ids"]).strip() == text


def test_building_twice_gives_the_same_files(untrained: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    nano.build(tmp_path / "again", seed=7)
    assert torch.equal(before, torch.random.get_rng_state())
    for file in sorted(f for f in untrained.rglob("*") if f.is_file()):
        assert (tmp_path / "again" / file.relative_to(untrained)).read_bytes() == file.read_bytes(), file.name


def test_the_folder_is_small(untrained: Path) -> None:
    assert sum(file.stat().st_size for file in untrained.rglob("*") if file.is_file()) < 15_000_000
