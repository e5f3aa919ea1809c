"""Pictures whose truth is known by construction: cut-outs of real products laid over real backgrounds.

Cut-outs: `grocery/packshots`, and clothing of the half set aside for training. Backgrounds: the outer parts of
`grocery/in_store` and of the same half of the clothing, mirrored to fill a frame, and drawn planks, tiles and folds. On
top come shadow, uneven light, blur, noise and JPEG.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Share = NDArray[np.float32]
Thing = TypeVar("Thing")

ASSET_SIDE_PX: Final = 256
# Packshots that are never trained on: every fourth of the 54, by name.
KEPT_EVERY: Final = 4


@dataclass(frozen=True, slots=True)
class CutOut:
    """A product without its background: uint8 sRGB (h, w, 3) and how much of each pixel is product, 0 to 1 (h, w)."""

    pixels: Pixels
    share: Share


def is_for_training(name: str) -> bool:
    """Which half of the photos a file name falls into: half by its SHA-256."""
    return hashlib.sha256(name.encode()).digest()[0] < 128


def packshot_files(photos: Path, held_out: bool) -> list[Path]:
    """The packshots of the classes that are trained on, or of those held out for reports."""
    every = sorted((photos / "grocery" / "packshots").glob("*.jpg"))
    return [path for number, path in enumerate(every) if (number % KEPT_EVERY == KEPT_EVERY - 1) == held_out]


def halves(folder: Path, training: bool) -> list[Path]:
    """The photos below a folder that lie in one half."""
    return [path for path in sorted(folder.rglob("*.jpg")) if is_for_training(path.name) == training]


def read(path: Path, side_px: int = ASSET_SIDE_PX) -> Pixels:
    """A photo as uint8 sRGB (h, w, 3), its long side at most `side_px`."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise OSError(f"{path} cannot be read")
    scale = min(1.0, side_px / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB).astype(np.uint8)


def cut_out(pixels: Pixels, mask: NDArray[np.bool_]) -> CutOut:
    """The box of a mask, its outer pixel taken off and its edge softened, so that no old background stays."""
    share = cv2.GaussianBlur(cv2.erode(mask.astype(np.float32), np.ones((3, 3))), (3, 3), 0)
    rows, columns = np.flatnonzero(share.any(axis=1)), np.flatnonzero(share.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return CutOut(pixels[box].copy(), share[box].astype(np.float32))


@dataclass(frozen=True, slots=True)
class Assets:
    """What pictures are put together from.

    `grounds` hold a photo and where its background is, bool (h, w); `photos` one and its whole truth, bool (h, w).
    """

    cut_outs: tuple[CutOut, ...]
    grounds: tuple[tuple[Pixels, NDArray[np.bool_]], ...]
    photos: tuple[tuple[Pixels, NDArray[np.bool_]], ...]


def compose(assets: Assets, rng: np.random.Generator, side_px: int) -> tuple[Pixels, Share]:
    """One picture: uint8 sRGB (side, side, 3) and its truth, float32 0 to 1 (side, side)."""
    ground = _ground(assets, rng, side_px).astype(np.float32)
    truth = np.zeros((side_px, side_px), dtype=np.float32)
    if rng.random() < 0.2:
        ground = _stray(assets, rng, ground)
    if rng.random() < 0.95:
        number = 1 if rng.random() < 0.9 else 2
        for turn in range(number):
            layer, share = _placed(assets, rng, side_px, shrink=1.0 if number == 1 else 0.55, turn=turn, of=number)
            ground = _shadowed(rng, ground, share)
            ground = ground * (1 - share[..., None]) + layer * share[..., None]
            truth = np.maximum(truth, share)
    return _photographed(rng, ground), truth


def retaken(assets: Assets, rng: np.random.Generator, side_px: int) -> tuple[Pixels, Share]:
    """A photo whose outline is known, framed, turned and lit anew; forms as in `compose`."""
    pixels, mask = _pick(rng, assets.photos)
    height, width = mask.shape
    zoom = float(rng.choice([1.0, rng.uniform(0.9, 1.0), rng.uniform(1.0, 1.6)]))
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.normal(0, 8)) * (rng.random() < 0.6), 1.0)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    resize = np.diag([flip * zoom * side_px / width, zoom * side_px / height]) @ turned
    centre = (0.5 + rng.normal(0, 0.08 if zoom > 1 else 0.03, 2)) * side_px
    resize[:, 2] += centre - resize @ np.array([width / 2, height / 2, 1.0])
    size = (side_px, side_px)
    layer = cv2.warpAffine(pixels, resize, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    # A mirrored product at the border is one all the same, so its outline is mirrored along.
    share = cv2.warpAffine(
        mask.astype(np.float32), resize, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    picture = layer.astype(np.float32)
    if rng.random() < 0.3:
        hsv = cv2.cvtColor(layer, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + int(rng.integers(180))) % 180
        picture = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
    return _photographed(rng, picture), share.astype(np.float32)


def _pick(rng: np.random.Generator, things: Sequence[Thing]) -> Thing:
    return things[int(rng.integers(len(things)))]


def _placed(
    assets: Assets, rng: np.random.Generator, side_px: int, shrink: float, turn: int, of: int
) -> tuple[Share, Share]:
    """A cut-out turned, resized, recoloured and put into the frame: its layer (side, side, 3) and its share."""
    product = _pick(rng, assets.cut_outs)
    pixels = _recoloured(rng, product)
    height, width = product.share.shape
    long_side = side_px * float(rng.triangular(0.3, 0.8, 1.05)) * shrink
    squeeze = float(np.exp(rng.normal(0, 0.12)))
    scale = long_side / max(height * squeeze, width / squeeze)
    angle = float(rng.normal(0, 12)) if rng.random() < 0.75 else float(rng.uniform(-180, 180))
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    resize = np.diag([flip * scale / squeeze, scale * squeeze]) @ turned
    spread = 0.07 if rng.random() < 0.8 else 0.25
    centre = np.array([0.5 + rng.normal(0, spread), 0.5 + rng.normal(0, spread)]) * side_px
    if of == 2:
        centre[0] += (turn - 0.5) * 0.45 * side_px
    resize[:, 2] += centre - resize @ np.array([width / 2, height / 2, 1.0])
    size = (side_px, side_px)
    layer = cv2.warpAffine(pixels, resize, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(product.share, resize, size, flags=cv2.INTER_LINEAR)
    return layer.astype(np.float32), np.clip(share, 0, 1).astype(np.float32)


def _recoloured(rng: np.random.Generator, product: CutOut) -> Share:
    """The product in its own or other colours, sometimes with a print or stripes, float32 (h, w, 3)."""
    pixels = product.pixels.astype(np.float32)
    choice = rng.random()
    if choice < 0.35:
        light = pixels.mean(axis=2, keepdims=True)
        inside = product.share > 0.5
        light = light / max(8.0, float(np.median(light[inside]))) if inside.any() else light / 128
        paint = rng.uniform(10, 250, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(8, 250)) + rng.normal(0, 4, 3)
        pixels = paint.astype(np.float32) * (0.25 + 0.75 * light if rng.random() < 0.5 else light)
    elif choice < 0.65:
        hsv = cv2.cvtColor(np.clip(pixels, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(0, 180)) % 180
        hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.2, 1.3), 0, 255)
        pixels = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32)
    if rng.random() < 0.15:
        height, width = product.share.shape
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(4, 40)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
        if rng.random() < 0.5:
            wave = np.maximum(wave, np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period))
        share = ((wave > rng.uniform(-0.3, 0.7)) * rng.uniform(0.3, 0.9))[..., None].astype(np.float32)
        pixels = pixels * (1 - share) + rng.uniform(0, 255, 3).astype(np.float32) * share
    return np.clip(pixels * rng.uniform(0.7, 1.25), 0, 255).astype(np.float32)


def _shadowed(rng: np.random.Generator, ground: Share, share: Share) -> Share:
    if rng.random() < 0.25:
        return ground
    side = share.shape[0]
    reach = int(abs(rng.normal(0, 0.02)) * side) * 2 + 3
    shift = np.array([[1, 0, rng.normal(0, 0.015) * side], [0, 1, abs(rng.normal(0, 0.02)) * side]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(share, shift, share.shape[::-1]), (reach, reach), 0)
    return np.asarray(ground * (1 - float(rng.uniform(0.1, 0.7)) * shadow[..., None]), dtype=np.float32)


def _stray(assets: Assets, rng: np.random.Generator, ground: Share) -> Share:
    """Something else that looks into the frame from a side: part of the background."""
    side = ground.shape[0]
    layer, share = _placed(assets, rng, side, shrink=0.4, turn=0, of=1)
    shift = rng.uniform(-0.5, 0.5, 2)
    shift[int(rng.integers(2))] = rng.choice([-0.52, 0.52])
    move = np.array([[1, 0, shift[0] * side], [0, 1, shift[1] * side]])
    layer, share = cv2.warpAffine(layer, move, (side, side)), cv2.warpAffine(share, move, (side, side))
    return np.asarray(ground * (1 - share[..., None]) + layer * share[..., None], dtype=np.float32)


def _ground(assets: Assets, rng: np.random.Generator, side_px: int) -> Pixels:
    kind = rng.random()
    if kind < 0.7:
        ground = _mirrored(*_pick(rng, assets.grounds), rng, side_px)
        if rng.random() < 0.25:
            ground = np.clip(ground * rng.uniform(0.6, 1.3, 3), 0, 255).astype(np.uint8)
        return ground
    drawn: tuple[Callable[[np.random.Generator, int], Share], ...] = (_planks, _tiles, _folds, _carpet, _paper)
    return np.clip(_pick(rng, drawn)(rng, side_px), 0, 255).astype(np.uint8)


def _mirrored(pixels: Pixels, is_ground: NDArray[np.bool_], rng: np.random.Generator, side_px: int) -> Pixels:
    """A piece of a photo's background without product, mirrored and enlarged to fill the frame."""
    height, width = is_ground.shape
    for _ in range(24):
        down, across = int(height * rng.uniform(0.1, 0.5)), int(width * rng.uniform(0.1, 0.5))
        if rng.random() < 0.5:
            down, across = (
                (height, int(width * rng.uniform(0.08, 0.2)))
                if rng.random() < 0.5
                else (int(height * rng.uniform(0.08, 0.2)), width)
            )
        y, x = int(rng.integers(height - down + 1)), int(rng.integers(width - across + 1))
        if is_ground[y : y + down, x : x + across].mean() > 0.985:
            break
    else:
        y, x, down, across = 0, 0, max(8, height // 12), max(8, width // 12)
    piece = pixels[y : y + down, x : x + across]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    scale = rng.uniform(0.8, 1.6) * side_px / max(height, width)
    piece = cv2.resize(
        piece, (max(4, round(across * scale)), max(4, round(down * scale))), interpolation=cv2.INTER_LINEAR
    )
    pair = np.concatenate([piece, piece[:, ::-1]], axis=1)
    cell = np.concatenate([pair, pair[::-1]], axis=0)
    times = (side_px // cell.shape[0] + 2, side_px // cell.shape[1] + 2, 1)
    wall = np.tile(cell, times)
    y, x = int(rng.integers(cell.shape[0])), int(rng.integers(cell.shape[1]))
    return np.ascontiguousarray(wall[y : y + side_px, x : x + side_px])


def _noise(rng: np.random.Generator, side_px: int, down: int, across: int) -> Share:
    grid = rng.normal(0, 1, (down, across)).astype(np.float32)
    return np.asarray(cv2.resize(grid, (side_px, side_px), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _planks(rng: np.random.Generator, side_px: int) -> Share:
    grain = _noise(rng, side_px, 4, 64) * 6 + _noise(rng, side_px, 8, 24) * 6
    y, x = np.mgrid[0:side_px, 0:side_px]
    plank = x // int(rng.integers(16, 60))
    board = plank * 7919 + (y + plank * 53) // int(rng.integers(60, 200)) * 104729
    level = rng.normal(0, rng.uniform(3, 14), 97).astype(np.float32)[board % 97] + grain
    colour = np.array([rng.uniform(50, 220)] * 3) * np.array([1.0, rng.uniform(0.7, 1.0), rng.uniform(0.45, 1.0)])
    planks = colour * (1 + level[..., None] / 100)
    planks[x % int(rng.integers(16, 60)) == 0] *= rng.uniform(0.5, 1.0)
    return np.asarray(np.rot90(planks) if rng.random() < 0.5 else planks, dtype=np.float32)


def _tiles(rng: np.random.Generator, side_px: int) -> Share:
    period, thick, angle = rng.uniform(24, 110), rng.uniform(1, 4), rng.uniform(0, np.pi / 2)
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    across, down = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    is_grout = (across % period < thick) | (down % period < thick)
    tile = rng.uniform(90, 245) + rng.normal(0, 8, 3)
    light = 1 + 0.06 * _noise(rng, side_px, 9, 9)
    grout = tile * rng.uniform(0.5, 1.15)
    return np.asarray(np.where(is_grout[..., None], grout, tile) * light[..., None], dtype=np.float32)


def _folds(rng: np.random.Generator, side_px: int) -> Share:
    down, across = int(rng.integers(2, 9)), int(rng.integers(2, 16))
    depth = _noise(rng, side_px, down, across) + 0.5 * _noise(rng, side_px, 2 * down, 2 * across)
    light = 1 + rng.uniform(0.05, 0.3) * depth
    return np.asarray(rng.uniform(15, 250, 3) * light[..., None], dtype=np.float32)


def _carpet(rng: np.random.Generator, side_px: int) -> Share:
    pile = rng.normal(0, rng.uniform(3, 22), (side_px, side_px, 1)) + 6 * _noise(rng, side_px, 5, 5)[..., None]
    return np.asarray(cv2.GaussianBlur(rng.uniform(30, 230, 3) + pile, (3, 3), 0), dtype=np.float32)


def _paper(rng: np.random.Generator, side_px: int) -> Share:
    level = rng.uniform(150, 255) + rng.normal(0, 5, 3) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
    return np.asarray(level + rng.uniform(0, 12) * _noise(rng, side_px, 2, 2)[..., None], dtype=np.float32)


def _photographed(rng: np.random.Generator, picture: Share) -> Pixels:
    side = picture.shape[0]
    if rng.random() < 0.5:
        picture = picture * (1 + rng.uniform(0, 0.18) * _noise(rng, side, 2, 2)[..., None])
    picture = picture * rng.uniform(0.8, 1.15) * rng.normal(1, 0.03, 3)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (3, 3), 0)
    if rng.random() < 0.5:
        picture = picture + rng.normal(0, rng.uniform(1, 7), picture.shape)
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])[1]
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return pixels
