"""What every daemon needs and no astronomy."""
