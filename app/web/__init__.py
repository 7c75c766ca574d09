"""What people see, and where vendors knock."""
