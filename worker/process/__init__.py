"""A worker's process: put together, started, watched, and ended."""
