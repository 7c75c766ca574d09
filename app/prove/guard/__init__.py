"""The guard's experiment: disasters and ordinary lives drawn by seed, through the real flows and stores."""
