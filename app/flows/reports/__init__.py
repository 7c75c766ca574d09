"""What people and monitoring systems ask: is all well, how is a connection doing, and the figures."""
