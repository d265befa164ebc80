"""The same work by this course, by a tutorial's loop and by others, timed side by side
in one process: `python -m benchmarks`."""
