"""Bulk runs: requested, carried out stage by stage, resumed, and what each found different."""
