"""Implausible batches: judged before they are written, held for a person, released or discarded."""
