"""What happens by the clock: schedules, alerts, signs of life, retention."""
