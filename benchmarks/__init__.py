"""The same work by this course, by the lecture decks' loop and by others, timed side by
side in one process: `python -m benchmarks`."""
