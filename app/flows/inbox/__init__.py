"""Deliveries: received, searched, exported and imported; and those that never arrived."""
