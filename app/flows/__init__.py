"""What we do: one use case per file; each gathers, decides, applies and tells."""
