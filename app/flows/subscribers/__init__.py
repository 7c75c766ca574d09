"""Subscribers: other programs to which the feed of changes is sent, and the sending."""
