"""What measures: the training command, records of runs, and tables of them."""
