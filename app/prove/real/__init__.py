"""Real processes for the proof: an installation, databases that can be harmed, mischief, and what judges the end."""
