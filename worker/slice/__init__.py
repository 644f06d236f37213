"""One slice of a batch, worked from its opening to its end; begin with `work.py`."""
