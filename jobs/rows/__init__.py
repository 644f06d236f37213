"""Rows: what one may say, how files of them are read, which events a selection means."""
