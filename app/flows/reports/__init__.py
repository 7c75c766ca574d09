"""What people and monitoring systems ask: status, metrics, stock that is low, validation."""
