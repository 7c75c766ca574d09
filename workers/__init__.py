"""The processes that work: actors (signposts to flows), their middleware, and the clock."""
