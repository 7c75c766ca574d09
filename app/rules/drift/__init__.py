"""Why a row was different, what to do about it, and how sure a sample makes us."""
