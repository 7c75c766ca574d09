"""Why a row was different, what to do about it, and what a sample says about all rows."""
