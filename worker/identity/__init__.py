"""Tokens of Entra ID: fetched, renewed, refused, and why."""
