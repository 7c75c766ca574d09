"""The revisions. One never imports the tables of today: they would change under it."""
