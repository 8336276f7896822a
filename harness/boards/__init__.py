"""One module for each instruction set: its board, and what is particular to it. `run.py` takes the one that a leg names."""
