"""Fine-tuning: loop, batches, loss, checkpoints, events. Runs from the shell, without queue or database."""
