"""Slide decks made from the notebooks."""
