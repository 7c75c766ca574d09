"""What a call is for, who goes first, and when a silent vendor is called again."""
