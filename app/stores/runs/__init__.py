"""Bulk runs and what each left behind: pages, differences, failed items, calls."""
