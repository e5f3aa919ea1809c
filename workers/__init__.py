"""Workers: Celery tasks and the programs they run; pictures in, values out.

The map
-------
Tasks import jobs, jobs import what they are done with, and models know neither; a contract in pyproject.toml holds it.

    cpu, gpu, sweeper   the tasks of each queue and the sweeper: a line or a few for each, no torch until it is needed
    *_job.py            the body of one task each: intake, mend, group, freeze, rules, sample (what is measured of
                        samples) here; the others in their rooms:
    mending             pictures turned, cropped, laid on white
    trainer             a run's trainer from outside: run_job, preflight_job; process (start, find, end it), follow
                        (its events into the database), watchdog (hangs, slow steps, late ends), outcome (what its end
                        means). Knows the database, never torch
    finetune            the trainer itself, `python -m workers.finetune`: train (the loop), train_state, loop_state,
                        batches, forward, loss, checkpoint, ranks and process_group, methods/. Knows no database
    signals             mask and measure: what can be measured of a photo; light, encoding, layout; signal_job
    embedding           efficientnet (built in), transformer (of the team's choice): pictures in, vectors out;
                        layout (vectors in, a map out); embed_job, map_job
    lettering           reader: the text that stands in a photo; lettering_job
    captions            captioner (the interface), from_facts, transformer, server: one file per kind of captioner;
                        asking_job (asked about many photos), caption_job, recaption_job
    sampling            sampler (prompts and seeds to pictures), sheet_job, previews (drawn while a run goes on)
    devices             lease (who holds a device), model_cache (what is loaded on it), memory (what is still held),
                        accelerator (its name), torch_device
    families            one file per model family: load, encode, loss target, LoRA, export; lora, lora_merge, registry
    beneath all         celery_app (how a job is done), disk (whole or not at all), events (one line each), errors

A task body is `body(work) -> dict | None`: claim, compute, record; see `celery_app`. Nothing computes in a transaction.
"""
