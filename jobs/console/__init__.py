"""The command line: what is typed and printed; thin over `jobs.operations`."""
