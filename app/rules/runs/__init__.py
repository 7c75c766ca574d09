"""What each strategy reads, when a job is due, and how far a run is."""
