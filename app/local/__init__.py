"""What one machine brings along: child processes, a Valkey server from a wheel, free ports, a locked data folder."""
