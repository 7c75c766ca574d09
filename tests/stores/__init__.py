"""What the stores must keep true, on both databases."""
