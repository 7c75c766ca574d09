"""How much customers want, and what stock that takes: pure functions on numpy arrays, no clock, no I/O."""
