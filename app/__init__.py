"""Packshot: from a pile of product photos to a fine-tuned text-to-image model, in one timed cycle.

The map
-------
The import graph is the data flow, reversed: a later step may import an earlier one, never the other way.

    catalog -> captions -> intake -> review -> labels -> bulk -> selection -> desk, datasets -> exports
            -> training -> evaluation -> cycles -> launch -> removal -> web -> host -> demo
    beneath all of them: errors, units, logs, settings, storage, database, audit, passwords, people, guessing, jobs
    between:             broker (sends jobs by name, after the commit), tables (all of them, for migrations)

    catalog     the photos of a team and what was measured of them     intake    photos on their way in
    captions    proposed, given, written, checked on pictures          review    decisions, suggestions of rules
    selection   the filter language, and what it asks for in few rows  desk      the queue of one person
    datasets    frozen versions with exact captions and a split        training  runs, their events and limits
    evaluation  sheets of samples, comparisons                         cycles    the timed day and its ledger
    exports     versions written out for other tools                   bulk      acts on many photos, and undo
    launch      facts and choices in, a recipe with reasons, a         web       pages: routes, and what they
                preflight, an estimate and checks out                            show (web/views)
    host        what runs on this machine: `up`, its supervisor,       demo      the whole way on drawn photos
                servers, devices, `status`, `doctor`

`workers` holds the Celery tasks and everything that touches torch, and has a map of its own; `app` never imports it and
asks for work by name: a Job row is written, and `broker` sends a hint after the commit. docs/architecture.md tells the
rest: what each file is for, and the rules that tests hold.

Glossary (one word per thing: table, URL, template folder, job name, button)
----------------------------------------------------------------------------
- **Catalog**: a named pile of product photos. **Intake**: one taking-in of a **source**: a folder, an archive, a
  table of photos. **Entry**: one thing in a source; a **share** is some of them. **Upload**: files on their way from
  a browser to an intake. **Haul**: files of a data set of a model hub that are on this machine at once, to be taken in
  and removed. **Source file**: a file an intake met, accepted or refused with a reason. **Image**: an
  accepted product photo, known by its SHA-256; its **render** is the picture upright, in sRGB and without alpha; its
  **notes** are what had to be assumed to take it in.
- **Signal**: a measured number about an image; its **scale** is its unit and range. **Outline**: the edge of the
  subject as it was measured. **Evidence**: what is drawn over a photo to show why it was measured so; an **overlay**
  is that of one signal. **Border**: flat bars or a frame around a picture. **Seam**: a line along which two pictures
  meet. **Lettering**: text that stands in a picture, as read from its pixels; it is **trusted** from a score on, and
  of a kind: a price, a watermark or other text. **Mend**: what a person had done to a photo's picture instead of
  rejecting it: its **edits**, made from the picture as taken in; the **mask** says where the product is.
  **Caption**: text saying what an image shows, of a **kind**: the long one is meant where no kind is named, which
  models learn from; history is appended. **Captioner**: what writes captions by itself; its **asking** is how it is
  asked, a **caption run** what it answered over some photos. A **given** caption came with the photo, in a file. An
  intake's **remark**: what it says of a metadata row or file. A **sidecar**: a text file beside a photo, named like
  it. An **import**: a file of captions that was read and shown, and then brought in or not.
- **Queue**: photos handed out one by one to the people it was given to. **Hold**: a photo in a person's hands for a
  while. **Pass**: one person's review of it; with an **overlap** several make one each, those after the first
  **blind**. **Answer**: what came of a pass. **Known answer**: a verdict that a lead knows, asked again unseen.
- **Fingerprint**: keys and thumbs of an image's **frames**, by which its **near copies** are known. **Pixel hash**:
  what all its pixels are known by, where a copy has its size. **Group**:
  duplicates in a **grade** (same bytes, pixels, photo, product); its **best** is kept, the rest **linked** to it; a
  **variant** differs in colour; **lookalikes** stand out from what is near them and so show one product. **Ruling**:
  what a person says of a group.
- **Embedding**: what an **embedder** saw in an image, a vector; near ones look alike. **Space**: embedder, revision and
  preprocessing together; vectors of one space can be compared. **Code**: a vector in 512 bits, by its space's **axes**;
  what photos shall look like is an **aim**. **Map**: photos laid out by their looks; on it a person
  draws a **lasso**, and **clusters** and what is far from everything are found.
- **Operation**: one **act** on many photos, as it is kept: whom it is by, what it changed, how to take it back.
  **Assignment**: whose a photo is to look at.
- **Decision**: keep, reject or needs work, by a person. **Suggestion**: the same by a review rule, while no person has
  decided: the photo is unseen. **Rule set**: what a catalog sets for its rules. **Selection**: a filter over images;
  a **saved view** keeps one, with its order, by a name.
  **Photo index**: one row per image with all that selections ask for, kept by the database; **photo text**: its words.
- **Label**: what a person says of a photo in a **label set**, a question that a team asks of a catalog: one or many
  of its labels, yes or no, or a free text. What is said of a photo in one set is a **labelling**. **Correction**: a
  fact of a photo as a person put it, in place of what its catalogue says. A **tag** is a label of the set “Tags”,
  which the first one defines.
- **Dataset version**: an immutable frozen selection with exact captions. **Member**: one training example in it; its
  **group** is what the split never cuts. **Manifest**: the members as a file that a trainer reads; its
  **content hash** is of what is learned, its **facts hash** of what else it tells. **Split**: train
  or validation. **Repeat**: how often a trainer shows the photos that a filter gives in one time round. **Balance**:
  what a version or a selection is made of, counted by value. **Card**: what a version is, in Markdown with the
  fields of model hubs, for people and other tools. **Export**: a version written out in a **format** that other
  tools read; a **shard** is a file or folder of it, there whole or not at all.
- **Recipe**: every knob of a fine-tune, typed and hashed. **Run**: one training run. **Checkpoint**: saved weights
  of a run at a step; step 0 is the base model. **Base**: the model a run starts from.
- **Knob**: one value of a recipe, with the reason for it; the **plan** derives all of them from three choices, of which
  the **preset** is how long to train. **Preflight**: a recipe tried on the device before it costs a run. **Check**:
  something looked at before a run; what it says is a **finding**. **Estimate**: how long a run takes, from what a
  preflight measured. **Assessment**: estimate, checks and limits of a run before it is asked for. **Hard stop**: the
  time and money after which a run is ended, whatever it is doing.
- **Trainer**: the process that trains a run. **Attempt**: the life of one trainer; a run that goes on has several.
- **Event**: what a trainer tells, numbered without gaps. **Milestone**: an event that a person wants to read, neither
  a step nor a sign of life. A run's **note**: what was seen of it from outside. **Metric point**: what a run measured
  over its last steps. **Rollup**: old metric points of a run, downsampled into one row.
- **Validation**: the held-out photos asked about under noise that never changes. **Verdict**: what a run's validations
  prove beyond noise: best, overfitting, worse. **Patience**: so many of them without a better one end the run.
  **Diverged**: of a run whose loss has exploded.
- **Suite**: fixed prompts and seeds; the **product suite** is filled with a catalog's **products**, what its photos
  show. Its **tier** is how much of it is drawn: preview, quick, full, hold-out, which is hidden until an **opening**;
  its **atoms** what a prompt claims. **Sheet**: a suite drawn by its **columns**: the checkpoints of a run, or any that
  people put side by side, real photos too. **Sample**: one drawn picture. **Preview**: a sample that a run draws at
  each checkpoint while it goes on. **Comparison**: the page with columns and prompt + seed as rows.
- **Profile**: what a marketplace asks of a picture, as limits of **rules**; what was measured of a sample is held
  against it. **Failure**: what is wrong with a sample, in a word. **Vote**: which of two samples is better, seen
  without names; **usable**: whether somebody would publish a picture. **Guest**: who votes by a link, without an
  account. **Gate**: the limits a checkpoint has to meet to ship, set before votes; **baseline**: what it is compared
  with. **Promotion**: a checkpoint made the **live** model of its catalog, signed off by an owner; until then it is a
  **candidate**.
- **Model**: a neural network. Database classes live in `tables.py` files.
- **Job**: queued work, a row; a **task** is the Celery function that does it. **Claim**: a worker's leased right to
  a job, with a fencing token. **Sweep**: finding jobs whose lease ran out or whose message was lost. **Part**: a share
  of a **whole** job's work, a job itself, so that many workers do one job. **Urgency**: how soon a job is begun; what
  is less urgent **gives way** between two batches.
- **Supervisor**: the process that starts and stops the others; the **host state** is what it wrote down of them.
- **Device**: a GPU, a slice of one, or the CPU. **Device lock**: a gpu worker's sole right to a device. **Device
  allocation**: the devices that one job was given.
- **Cycle**: one timed day from photos to a model, with a budget. **Ledger**: what its jobs cost.
- **Person**: somebody who signs in; a **viewer**, **annotator**, **lead** or **owner**, each
  of whom may do what those before may (their **role**). **Link**: a one-time address that signs a browser in.
  **Known browser**: one in which a person signed in before. **Audit log**: who did what to money, access and other
  people's work.
- **Removal**: taking a photo, a catalog, a version or the cache away for good; its **consequences** are told first. A
  removed photo that a version holds is hidden, and no intake takes its bytes in again.
- **Reserve**: free space that what is large leaves on the disk. **Quota**: what a lead's uploads may take.
"""
