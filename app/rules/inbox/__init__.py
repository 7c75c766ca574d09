"""What the headers of a delivery tell, and when silence says something."""
