"""Who may come in and what they did: accounts, sign-in, the audit log."""
