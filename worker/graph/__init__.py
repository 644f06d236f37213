"""Microsoft Graph over HTTP: what goes out, what comes back, what a reply means."""
