"""The database itself: opening, pooling, time limits, faults, and how statements are run."""
