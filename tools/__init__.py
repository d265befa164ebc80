"""What build.py and run.py are made of."""
