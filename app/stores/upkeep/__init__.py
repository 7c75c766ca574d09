"""What the clock keeps in order: alerts, signs of life, marks, and what is old enough to go."""
