"""Tokens, users, sign-ins, and the audit log with its archives."""
