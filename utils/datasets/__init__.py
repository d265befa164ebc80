"""What `data` is made of: download, read, stand in, split, load in batches."""
