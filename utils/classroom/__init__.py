"""What an instructor does with the notebooks of a class."""
