"""The timed cycle: clock, ledger of time and money."""
