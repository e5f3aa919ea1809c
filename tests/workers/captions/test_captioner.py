"""The captioner on tiny models, one of each kind it knows. Their words mean nothing; that they are words does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.workers.captions import tiny_captioners
from workers.captions import captioner
from workers.errors import InputError

PICTURES = [
    Image.new("RGB", (300, 200), (200, 30, 30)),
    Image.new("RGBA", (90, 2000), (20, 30, 200, 255)),
    Image.linear_gradient("L"),
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("build", [tiny_captioners.blip, tiny_captioners.encoder_decoder, tiny_captioners.llava])
def test_a_batch_is_captioned_like_its_pictures_one_by_one(build: Callable[[Path], Path], tmp_path: Path) -> None:
    looked = captioner.load(str(build(tmp_path)), "cpu")

    together = looked.caption(PICTURES, "describe the product", max_new_tokens=6)
    alone = [looked.caption([picture], "describe the product", max_new_tokens=6)[0] for picture in PICTURES]

    assert together == alone
    assert all(text and "<" not in text and len(text.split()) <= 6 for text in together)
    assert looked.is_asked == (build is tiny_captioners.llava)
    assert looked.caption([]) == []


def test_a_chat_models_answer_does_not_repeat_the_question(tmp_path: Path) -> None:
    looked = captioner.load(str(tiny_captioners.llava(tmp_path)), "cpu")
    (answer,) = looked.caption(PICTURES[:1], "describe " * 50, max_new_tokens=3)
    assert len(answer.split()) <= 3


def test_pickled_weights_are_refused_unread(tmp_path: Path) -> None:
    folder = tiny_captioners.blip(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no safetensors weights, and pickled ones \(\.bin\) are never loaded\.$"):
        captioner.load(str(folder), "cpu")


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    folder = tiny_captioners.blip(tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}))
    (folder / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(InputError, match="brings code of its own, which is never run"):
        captioner.load(str(folder), "cpu")


def test_a_model_that_writes_no_text_about_images_is_refused(tmp_path: Path) -> None:
    tiny_captioners.llama_alone(tmp_path)
    with pytest.raises(InputError, match="is a llama model, which writes no text about images"):
        captioner.load(str(tmp_path), "cpu")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("/nowhere/captioner", "There is no caption model in /nowhere/captioner; set PACKSHOT_CAPTION_MODEL"),
        ("./captioner", "There is no caption model in"),
        ("packshot-tests/not-here", "is not on this machine and could not be fetched; set PACKSHOT_CAPTION_MODEL"),
    ],
)
def test_a_missing_model_says_what_to_set(model: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        captioner.load(model, "cpu")
    assert "\n" not in str(refused.value)


def test_a_folder_without_a_tokeniser_is_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = tiny_captioners.blip(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="has no tokeniser beside it; copy its whole folder"):
        captioner.load(str(folder), "cpu")


def test_all_parts_of_a_model_from_a_hub_are_of_one_commit_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = "1" * 40, "2" * 40
    repository = tmp_path / "hub" / "models--shop--looker"
    for commit in (first, second):
        (repository / "snapshots" / commit).mkdir(parents=True)
        tiny_captioners.blip(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(first)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert captioner.load("shop/looker", "cpu").revision == first
    assert captioner.load(f"shop/looker@{second}", "cpu").revision == second
    with pytest.raises(InputError, match=f"looker@{'3' * 40} is not on this machine"):
        captioner.load(f"shop/looker@{'3' * 40}", "cpu")
