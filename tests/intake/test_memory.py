"""All decodes of a process share one budget of bytes, and none takes more than it asked for."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from app.intake import decoding, memory
from app.intake.decoding import cost_bytes, read_picture
from app.intake.memory import ByteBudget
from tests.intake.conftest import encoded
from tests.intake.test_decoding import exif, wide_gamut_profile

MIB = 1024**2
SIDE = 2200


def flat(mode: str, value: object) -> Pillow.Image:
    return Pillow.new(mode, (SIDE, SIDE), value)  # type: ignore[arg-type]


PICTURES: dict[str, Callable[[], bytes]] = {
    "sixteen bit grey": lambda: encoded(Pillow.fromarray(np.full((SIDE, SIDE), 40_000, np.uint16)), "PNG"),
    "transparent": lambda: encoded(flat("RGBA", (9, 99, 30, 128)), "PNG"),
    "grey and alpha": lambda: encoded(flat("LA", (9, 99)), "PNG"),
    "palette": lambda: encoded(flat("P", 3), "PNG", transparency=3),
    "turned": lambda: encoded(flat("RGB", (9, 99, 30)), "PNG", exif=exif(6)),
    "profile": lambda: encoded(flat("RGB", (9, 99, 30)), "JPEG", icc_profile=wide_gamut_profile()),
    "cmyk": lambda: encoded(flat("CMYK", (9, 99, 30, 3)), "JPEG"),
    "progressive": lambda: encoded(flat("RGB", (9, 99, 30)), "JPEG", progressive=True),
    "tiff": lambda: encoded(flat("RGB", (9, 99, 30)), "TIFF", compression="tiff_lzw"),
    "tiff of sixteen bits": lambda: encoded(Pillow.fromarray(np.full((SIDE, SIDE), 40_000, np.uint16)), "TIFF"),
    "webp": lambda: encoded(flat("RGBA", (9, 99, 30, 128)), "WEBP", method=0),
    "gif": lambda: encoded(flat("P", 3), "GIF", transparency=3),
    "bmp": lambda: encoded(flat("RGB", (9, 99, 30)), "BMP"),
}


def most_resident_bytes() -> int:
    """The most memory that this process held since `/proc/self/clear_refs` was last written."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize("kind", PICTURES)
def test_reading_takes_no_more_than_was_asked_for(kind: str) -> None:
    data = PICTURES[kind]()
    with Pillow.open(io.BytesIO(data)) as opened:
        asked = cost_bytes(opened)
    read_picture(encoded(Pillow.new("RGB", (64, 64))), 10)  # what is loaded once is loaded by now
    Path("/proc/self/clear_refs").write_text("5")
    before = most_resident_bytes()
    read_picture(data, 10)
    assert most_resident_bytes() - before <= asked + len(data) + 48 * MIB
    assert asked <= 20 * SIDE * SIDE


def test_a_picture_of_the_largest_size_fits_the_budget() -> None:
    for mode in ("RGB", "RGBA", "CMYK", "I;16", "L"):
        with Pillow.open(
            io.BytesIO(encoded(Pillow.new(mode, (64, 64)), "TIFF" if mode == "CMYK" else "PNG"))
        ) as opened:
            share = cost_bytes(opened) / (64 * 64)
        assert share * 60_000_000 <= memory.PICTURES.limit_bytes * (2 if mode == "CMYK" else 1)


def test_many_threads_never_hold_more_than_the_budget_at_once() -> None:
    budget, held, most = ByteBudget(100), 0, 0
    lock, gate = threading.Lock(), threading.Barrier(8)

    def work(sizes: list[int]) -> None:
        nonlocal held, most
        gate.wait()
        for size in sizes:
            with budget.hold(size):
                with lock:
                    held += size
                    most = max(most, held)
                with lock:
                    held -= size

    threads = [threading.Thread(target=work, args=([number * 7 % 60 + 1 for number in range(start, start + 200)],))
               for start in range(8)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= budget.most_bytes <= 100
    assert most > 0 and held == 0


def test_one_that_asks_for_more_than_all_gets_it_alone_and_nobody_overtakes_it() -> None:
    budget, order = ByteBudget(100), []
    has_first, is_waiting = threading.Event(), threading.Event()

    def hold(name: str, size: int) -> None:
        with budget.hold(size):
            order.append(name)

    def first() -> None:
        with budget.hold(60):
            has_first.set()
            is_waiting.wait()
            order.append("first")

    threads = [threading.Thread(target=first)]
    threads[0].start()
    has_first.wait()
    for name, size in (("large", 500), ("small", 1)):
        waiting = len(budget._waiting)
        threads.append(threading.Thread(target=hold, args=(name, size)))
        threads[-1].start()
        while len(budget._waiting) == waiting:
            threading.Event().wait(0.001)
    is_waiting.set()
    for thread in threads:
        thread.join()
    assert order == ["first", "large", "small"]
    assert budget.most_bytes == 500


def test_what_was_held_is_free_again_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = ByteBudget(10 * MIB)
    monkeypatch.setattr(decoding.memory, "PICTURES", budget)
    data = encoded(Pillow.new("RGB", (300, 300)), "PNG")
    torn = data[:-20] + bytes(8) + data[-12:]
    with pytest.raises(decoding.Unreadable):
        read_picture(torn, 10)
    read_picture(data, 10)
    assert 0 < budget.most_bytes <= 10 * MIB
    with budget.hold(10 * MIB):
        pass


DECODED_BY_FOUR = """
import io, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from PIL import Image
from app.intake import memory
from app.intake.decoding import read_picture

def resident_mib():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024

file = io.BytesIO()
Image.new("RGBA", (2400, 1600), (9, 99, 30, 128)).save(file, "PNG", compress_level=1)
read_picture(file.getvalue(), 10)
before = resident_mib()
if sys.argv[1] == "shared":
    memory.share_one_heap()
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: read_picture(file.getvalue(), 10).width_px, range(4)))
print(resident_mib() - before)
"""


def test_what_threads_free_is_free() -> None:
    """Else each of them keeps a heap of its own as large as its largest picture."""
    kept = {
        how: int(subprocess.run([sys.executable, "-c", DECODED_BY_FOUR, how], capture_output=True, check=True).stdout)
        for how in ("apart", "shared")
    }
    assert kept["shared"] < kept["apart"] / 2, kept
