"""Dead letters, their attempts, and how to find them."""
