"""Simulated mailboxes: their events, and what they take."""
