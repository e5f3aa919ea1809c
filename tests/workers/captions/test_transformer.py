"""The captioner on tiny models, one of each kind it knows. Their words mean nothing; that they are words does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from app.captions.asking import Asking, Length
from tests.workers.captions import tiny_captioners
from workers.captions import model_size, transformer
from workers.captions.captioner import PhotoAnswer, PhotoQuestion
from workers.captions.transformer import TransformerCaptioner
from workers.errors import InputError

# PaliGemma's processor makes NumPy arrays of tensors in a way that NumPy will refuse one day.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
QUESTION = "describe the product"
PICTURES = [
    Image.new("RGB", (300, 200), (200, 30, 30)),
    Image.new("RGBA", (90, 2000), (20, 30, 200, 255)),
    Image.linear_gradient("L"),
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


FAMILIES = [
    tiny_captioners.blip, tiny_captioners.encoder_decoder, tiny_captioners.llava, tiny_captioners.blip2,
    tiny_captioners.paligemma, tiny_captioners.florence, tiny_captioners.smolvlm, tiny_captioners.qwen2,
    tiny_captioners.qwen25, tiny_captioners.qwen3,
]  # fmt: skip


def asked(captioner: TransformerCaptioner, pictures: Sequence[Image.Image], text: str = QUESTION) -> list[PhotoAnswer]:
    return captioner.answer(
        [PhotoQuestion(number, text, picture, most_tokens=6) for number, picture in enumerate(pictures)]
    )


@pytest.mark.parametrize("build", FAMILIES, ids=lambda build: build.__name__)
def test_a_batch_is_captioned_like_its_pictures_one_by_one(build: Callable[[Path], Path], tmp_path: Path) -> None:
    captioner = transformer.load(str(build(tmp_path)), "cpu")

    together = asked(captioner, PICTURES)
    alone = [asked(captioner, [picture])[0] for picture in PICTURES]

    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [answer.image_id for answer in together] == [0, 1, 2]
    assert all(answer.text and "<" not in answer.text and len(answer.text.split()) <= 6 for answer in together)
    assert all(answer.tokens_out <= 7 for answer in together)
    assert asked(captioner, []) == []


@pytest.mark.parametrize("build", FAMILIES[2:], ids=lambda build: build.__name__)
def test_where_a_family_knows_fast_attention_it_has_it(build: Callable[[Path], Path], tmp_path: Path) -> None:
    captioner = transformer.load(str(build(tmp_path)), "cpu")
    parts = (captioner.model.config, getattr(captioner.model.config, "text_config", captioner.model.config))
    assert "sdpa" in {part._attn_implementation for part in parts}


@pytest.mark.parametrize(
    ("build", "length", "own", "words"),
    [
        (tiny_captioners.florence, "short", "", "<CAPTION>"),
        (tiny_captioners.florence, "long", "", "<MORE_DETAILED_CAPTION>"),
        (tiny_captioners.paligemma, "medium", "", "<image>caption en"),
        (tiny_captioners.paligemma, "long", "answer en red", "<image>answer en red"),
        (tiny_captioners.blip2, "long", "red shoe", "Question: red shoe Answer:"),
        (tiny_captioners.qwen25, "long", "red shoe", "red shoe on white"),
        (tiny_captioners.blip, "long", "", ""),
    ],
)
def test_each_family_is_asked_in_its_own_words_which_are_told(
    build: Callable[[Path], Path], length: Length, own: str, words: str, tmp_path: Path
) -> None:
    captioner = transformer.load(str(build(tmp_path)), "cpu")
    question = PhotoQuestion(7, "red shoe on white", PICTURES[0], length=length, own_prompt=own, most_tokens=3)
    (answer,) = captioner.answer([question])
    assert (answer.image_id, answer.asked) == (7, words)


@pytest.mark.parametrize(
    ("build", "asking", "sentence"),
    [
        (tiny_captioners.florence, Asking(prompt="What is it?"), "Florence-2 takes no question, only its tasks"),
        (tiny_captioners.paligemma, Asking(kinds=("long", "tags")), "PaliGemma writes no JSON"),
        (tiny_captioners.blip, Asking(prompt="What is it?"), "takes no prompt"),
        (tiny_captioners.blip, Asking(kinds=("short",)), "writes no JSON"),
        (tiny_captioners.smolvlm, Asking(prompt="What?", kinds=("long", "tags"), facts=True), ""),
    ],
)
def test_what_a_family_cannot_be_asked_it_says(
    build: Callable[[Path], Path], asking: Asking, sentence: str, tmp_path: Path
) -> None:
    said = transformer.load(str(build(tmp_path)), "cpu").obstacle(asking)
    assert sentence in said and bool(said) == bool(sentence)


def test_a_chat_models_answer_does_not_repeat_the_question(tmp_path: Path) -> None:
    captioner = transformer.load(str(tiny_captioners.llava(tmp_path)), "cpu")
    (answer,) = captioner.answer([PhotoQuestion(1, "describe " * 50, PICTURES[0], most_tokens=3)])
    assert len(answer.text.split()) <= 3
    assert answer.tokens_in > 50 and answer.tokens_out == 3 and answer.is_cut


def test_a_model_with_more_weights_than_the_device_has_memory_says_so_and_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_captioners.blip(tmp_path)
    needed = model_size.loaded_bytes(model_size.numbers_of(folder.glob("*.safetensors")), 4)
    loaded = transformer.load(str(folder), "cpu")
    held = sum(part.numel() * part.element_size() for part in loaded.model.state_dict().values())
    assert 0.5 * held < needed <= held, "tied weights lie in the file once"
    monkeypatch.setattr(model_size, "free_bytes", lambda _: needed)
    transformer.load(str(folder), "cpu")
    monkeypatch.setattr(model_size, "free_bytes", lambda _: needed - 1)
    monkeypatch.setattr("transformers.AutoModelForImageTextToText.from_pretrained", None)
    with pytest.raises(InputError, match=r"needs .* of memory for its weights alone, and the device has .* free"):
        transformer.load(str(folder), "cpu")


def test_weights_of_few_bits_are_counted_as_they_are() -> None:
    assert model_size.loaded_bytes({"F32": 10, "BF16": 10, "U8": 10, "I64": 1}, 2) == 20 + 20 + 10 + 8


def test_a_batch_too_large_for_the_device_is_halved_and_one_photo_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = transformer.load(str(tiny_captioners.blip(tmp_path)), "cpu")
    sizes: list[int] = []
    generate = captioner.model.generate
    room = 1

    def small(**inputs: torch.Tensor) -> torch.Tensor:
        sizes.append(len(inputs["pixel_values"]))
        if sizes[-1] > room:
            raise torch.OutOfMemoryError
        whole: torch.Tensor = generate(**inputs)
        return whole

    monkeypatch.setattr(captioner.model, "generate", small)
    assert [answer.image_id for answer in asked(captioner, PICTURES)] == [0, 1, 2]
    assert sizes == [3, 1, 2, 1, 1]
    room = 0
    with pytest.raises(InputError, match="no memory for one photo"):
        asked(captioner, PICTURES)


def test_pickled_weights_are_refused_unread(tmp_path: Path) -> None:
    folder = tiny_captioners.blip(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no safetensors weights, and pickled ones \(\.bin\) are never loaded\.$"):
        transformer.load(str(folder), "cpu")


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    folder = tiny_captioners.blip(tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}))
    (folder / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(InputError, match="brings code of its own, which is never run"):
        transformer.load(str(folder), "cpu")


def test_a_model_that_writes_no_text_about_images_is_refused(tmp_path: Path) -> None:
    tiny_captioners.llama_alone(tmp_path)
    with pytest.raises(InputError, match="is a llama model, which writes no text about images"):
        transformer.load(str(tmp_path), "cpu")


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
        transformer.load(model, "cpu")
    assert "\n" not in str(refused.value)


def test_a_folder_without_a_tokeniser_is_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = tiny_captioners.blip(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="has no tokeniser beside it; copy its whole folder"):
        transformer.load(str(folder), "cpu")


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
    assert transformer.load("shop/looker", "cpu").revision == first
    assert transformer.load(f"shop/looker@{second}", "cpu").revision == second
    with pytest.raises(InputError, match=f"looker@{'3' * 40} is not on this machine"):
        transformer.load(f"shop/looker@{'3' * 40}", "cpu")


def test_a_model_that_lacks_some_of_its_weights_is_refused_and_not_filled_with_random_ones(tmp_path: Path) -> None:
    file = tiny_captioners.blip(tmp_path) / "model.safetensors"
    weights = load_file(file)
    lost = next(name for name in sorted(weights) if name.startswith("vision_model"))
    save_file({name: tensor for name, tensor in weights.items() if name != lost}, file, {"format": "pt"})
    with pytest.raises(InputError, match=rf"lacks 1 of its weights, {re.escape(lost)} the first; copy its whole"):
        transformer.load(str(tmp_path), "cpu")
    save_file({**weights, lost: torch.zeros(3)}, file, {"format": "pt"})
    with pytest.raises(InputError, match=rf"lacks 1 of its weights, {re.escape(lost)} the first"):
        transformer.load(str(tmp_path), "cpu")
    save_file(weights, file, {"format": "pt"})
    file.write_bytes(file.read_bytes()[:-100])  # copied half
    with pytest.raises(InputError, match=r"^The caption model .* cannot be loaded: .*\.?$"):
        transformer.load(str(tmp_path), "cpu")


def test_weights_that_lie_in_a_folder_twice_are_counted_once(tmp_path: Path) -> None:
    for name in ("model-1-of-2.safetensors", "model-2-of-2.safetensors", "consolidated.safetensors"):
        save_file({name: torch.zeros(4, 5)}, tmp_path / name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: f"model-{name}-of-2.safetensors" for name in "12"}}))
    assert model_size.numbers_of(model_size.weight_files(tmp_path)) == {"F32": 40}
    index.write_text("[]")
    with pytest.raises(ValueError, match="no index of weights"):
        model_size.weight_files(tmp_path)
    (tmp_path / "model-1-of-2.safetensors").rename(tmp_path / "model.safetensors")
    assert model_size.numbers_of(model_size.weight_files(tmp_path)) == {"F32": 20}


def test_on_an_accelerator_weights_are_asked_for_in_bf16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, dtypes = tiny_captioners.blip(tmp_path), list[torch.dtype]()
    load = transformers.AutoModelForImageTextToText.from_pretrained

    def loading(*args: object, **options: Any) -> Any:
        dtypes.append(options["dtype"])
        return load(*args, **options)

    monkeypatch.setattr("transformers.AutoModelForImageTextToText.from_pretrained", loading)
    # "meta" is a device without memory: what is put there is not computed with.
    there = transformer.load(str(folder), "meta")
    here = transformer.load(str(folder), "cpu")
    assert dtypes == [torch.bfloat16, torch.float32]
    assert (there.model.dtype, here.model.dtype) == (torch.bfloat16, torch.float32)
    assert there.at_once > here.at_once
