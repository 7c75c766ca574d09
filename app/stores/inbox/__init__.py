"""Deliveries as they came, how to find them, and the times in which none came."""
