"""What `plot` and `diagram` are made of: curves, pictures, grids, one style."""
