"""The simulated Graph: its paths, replies and faults."""
