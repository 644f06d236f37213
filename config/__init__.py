"""
The environment: what is set, which cloud is meant, how a log line looks.

It knows nothing of responses. `jobs` and `worker` import it; it imports neither.
"""
