"""Devices: who holds one, what is loaded on it, what memory is still held, and which one torch uses."""
