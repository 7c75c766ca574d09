"""The address that a delivery was sent to, by its headers; and when silence means an outage."""
