"""Measurements: each prints figures and is run by hand, never by the test run."""
