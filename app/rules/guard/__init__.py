"""The plausibility guard: what no merchant does to so many rows at once."""
