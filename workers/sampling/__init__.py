"""Samples: pictures drawn from a base or a checkpoint, for a sheet or while a run goes on."""
