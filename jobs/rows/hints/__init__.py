"""What a wrong value probably meant: why it cannot be what it claims, and what to write instead."""
