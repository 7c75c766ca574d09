"""The item path: what is owed is leased, fetched, written and settled; and the bulk path for whole kinds."""
