"""Intake: photos on their way in, from a folder or a browser: found, decoded, kept or refused with a reason."""
