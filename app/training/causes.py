"""Why runs end other than by being done: a word for each cause, and what to do next, in a sentence for the page."""

from __future__ import annotations

from typing import Final, Literal, get_args

Cause = Literal[
    "out_of_memory", "diverged", "disk_full", "refused", "broken",  # told by the engine
    "hung", "killed", "lost",  # seen by the worker
    "out_of_time", "out_of_money",  # the hard stop
    "no_better",  # its patience was at an end
]  # fmt: skip

CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)

BEGUN_AGAIN: Final[frozenset[Cause]] = frozenset({"hung", "killed", "lost"})
"""What may not happen a second time, so the worker goes on by itself; the others would only happen again."""

MAX_RESUMPTIONS: Final = 2
"""How often a run is begun again without being asked, until a person asks."""

EXIT_CODES: Final[dict[Cause, int]] = {"broken": 1, "refused": 3, "out_of_memory": 4, "disk_full": 5, "diverged": 6}
"""The exit code of an engine for each cause that it tells."""

CAUSE_OF_EXIT: Final[dict[int, Cause]] = {code: cause for cause, code in EXIT_CODES.items()}

AT_THE_LIMIT: Final[frozenset[Cause]] = frozenset({"out_of_time", "out_of_money"})

NEXT_ACTIONS: Final[dict[Cause, str]] = {
    "out_of_memory": "Launch it again with fewer pictures at once or a lower resolution.",
    "diverged": "Launch it again with a lower learning rate.",
    "disk_full": "Free some space on the disk, then go on from the last checkpoint.",
    "refused": "Correct what the sentence names, then launch it again.",
    "broken": "Read the last lines of the log below and report them; then try to go on from the last checkpoint.",
    "hung": "See that the device works (nvidia-smi answers), then go on from the last checkpoint.",
    "killed": "See what else uses this machine's memory, then go on from the last checkpoint.",
    "lost": "See that the machine and its gpu worker run, then go on from the last checkpoint.",
    "out_of_time": "Raise the time limit to go on from the last checkpoint, or use what was learned.",
    "no_better": "Use what was learned; more photos teach more than more steps.",
    "out_of_money": "Raise the money limit to go on from the last checkpoint, or use what was learned.",
}
"""What a person can do about each cause: a short imperative sentence."""

WITHOUT_CHECKPOINT: Final[dict[Cause, str]] = {
    "disk_full": "Free some space on the disk, then try again from the start.",
    "broken": "Read the last lines of the log below and report them; then try again from the start.",
    "hung": "See that the device works (nvidia-smi answers), then try again from the start.",
    "killed": "See what else uses this machine's memory, then try again from the start.",
    "lost": "See that the machine and its gpu worker run, then try again from the start.",
    "out_of_time": "Launch it again with more time.",
    "no_better": "More photos teach more than more steps.",
    "out_of_money": "Launch it again with more money.",
}
"""The same where it ended before its first checkpoint: nothing can be gone on from, nothing was learned."""
