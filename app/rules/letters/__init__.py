"""Whether a failure is retried, which failures are the same, and what to do about them."""
