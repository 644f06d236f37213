"""The simulated Entra ID: its certificate, tokens and errors."""
