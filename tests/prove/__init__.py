"""The proof, proven: the simulation repeats itself, finds what is planted, and finds nothing else."""
