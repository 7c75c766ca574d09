"""Proves the promise to anybody with a seed: a simulated world full of faults, around our real flows and stores."""
