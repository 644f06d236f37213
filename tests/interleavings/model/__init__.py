"""The world of a schedule: actors, Redis, Graph, time."""
