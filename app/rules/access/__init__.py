"""Who must wait, what an address counts as, what is secret, and the chain of the audit log."""
