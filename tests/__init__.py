"""What must stay true; laid out as the packages are."""
