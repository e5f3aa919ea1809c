"""Packshot: from a pile of product photos to a fine-tuned text-to-image model, in one timed cycle.

The map
-------
The import graph is the data flow, reversed: a later step may import an earlier one, never the other way.

    catalog -> captions -> review -> selection, browsing -> datasets -> training -> evaluation -> cycles -> demo
    beneath all of them: settings, errors, database, storage, people, jobs
    above all of them:   broker, web, and how it starts and stops: cli, up, supervisor, roster, listening, processes,
                         embedded (the servers shipped in wheels), status, doctor

`workers` holds the Celery tasks and everything that touches torch; `app` never imports it and asks for work by
name: a Job row is written, and `broker` sends a hint after the commit.

Glossary (one word per thing: table, URL, template folder, job name, button)
----------------------------------------------------------------------------
- **Catalog**: a named pile of product photos. **Intake**: one taking-in of a folder. **Upload**: files on their way
  from a browser to an intake. **Source file**: a file an intake met, accepted or refused with a reason. **Image**: an
  accepted product photo, known by its SHA-256; its **render** is the picture upright, in sRGB and without alpha.
- **Signal**: a measured number about an image. **Caption**: text saying what an image shows; history is appended.
- **Decision**: keep, reject or needs work, by a person or a review rule. **Selection**: a filter over images.
  **Standing**: one row per image with all that selections ask for, kept by the database; its **wording** is for words.
- **Dataset version**: an immutable frozen selection with exact captions. **Member**: one training example in it.
  **Manifest**: the same as a file that a trainer reads. **Split**: train or validation, grouped by product.
- **Recipe**: every knob of a fine-tune, typed and hashed. **Run**: one training run. **Checkpoint**: saved weights
  of a run at a step; step 0 is the base model. **Base**: the model a run starts from.
- **Knob**: one value of a recipe, with the reason for it; the **plan** derives all of them from three choices.
  **Preflight**: a recipe tried on the device before it costs a run. **Gate**: what is looked at before a run; each
  thing found is a **finding**. **Estimate**: how long a run takes, from what a preflight measured. **Hard stop**: the
  time and money after which a run is ended, whatever it is doing.
- **Reading**: what a run told of its last steps. **Rollup**: old readings of a run summed up in one row.
- **Suite**: fixed prompts and seeds. **Sheet**: a suite drawn by every checkpoint of a run. **Sample**: one drawn
  picture. **Comparison**: the page with checkpoints as columns and prompt + seed as rows.
- **Preview**: the few prompts of a suite that a run draws at each checkpoint while it goes on.
- **Model**: a neural network. Database classes live in `tables.py` files.
- **Job**: queued work, a row; a **task** is the Celery function that does it. **Claim**: a worker's leased right to
  a job, with a fencing token. **Sweep**: finding jobs whose lease ran out or whose message was lost.
- **Roster**: which processes work on a data folder. **Supervisor**: the one that starts and stops the others.
- **Device**: a GPU, a slice of one, or the CPU. **Tenancy**: a gpu worker's sole right to a device.
- **Cycle**: one timed day from photos to a model, with a budget. **Ledger**: what its jobs cost.
- **Person**: somebody who signs in. **Link**: a one-time address that signs a browser in.
"""
