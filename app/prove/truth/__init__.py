"""The experiment on truth: differences of every kind are injected by seed, and what a run says of them is compared."""
