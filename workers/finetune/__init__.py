"""Fine-tuning: loop, batches, loss, checkpoints, news. Runs from the shell, without queue or database."""
