"""What we remember: all SQL. Functions take an open connection, so that a flow decides what one commit holds."""
