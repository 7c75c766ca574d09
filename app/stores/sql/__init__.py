"""The database itself: opened, pooled, limited, and its faults told from ours."""
