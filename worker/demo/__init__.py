"""The demo: everything at once, on the sandbox and an embedded Redis."""
