"""What a server process has in memory that tests fork engines from: the training command's imports, out of the
collector's sight, so that a fork neither looks through them nor copies their pages.
"""

from __future__ import annotations

import gc

gc.disable()

import workers.families.prx_pixel  # noqa: E402
import workers.finetune.preflight  # noqa: E402
import workers.finetune.process_group  # noqa: E402
import workers.finetune.train  # noqa: E402, F401

gc.freeze()
gc.enable()
