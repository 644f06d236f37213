"""All schedules of a scenario, and what must hold in each state."""
