"""The HTTP edge: pages and API for people and programs, webhooks for vendors."""
