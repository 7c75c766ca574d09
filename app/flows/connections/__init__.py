"""Connections: set up, checked, paused and probed; and whose fault a failed call is."""
