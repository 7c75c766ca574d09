"""Deliveries: received, searched, exported and imported; and what never arrived."""
