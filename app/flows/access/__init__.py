"""Who may sign in, and what they did: accounts, sign-in, the audit log."""
