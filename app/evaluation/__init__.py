"""Evaluation: suites of prompts, sheets of samples, and comparing checkpoints."""
