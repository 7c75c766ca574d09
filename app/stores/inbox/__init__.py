"""Deliveries as they were received, how to find them, and the outages in which none came."""
