"""Whether a failure is retried, which failures are equal, and what to do about them."""
