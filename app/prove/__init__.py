"""The proof: what Tallyhook promises under faults, tried with seeds, simulated and on real processes."""
