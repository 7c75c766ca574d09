"""Dead letters: written, explained, edited, previewed and replayed."""
