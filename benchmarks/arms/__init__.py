"""The ways to do the same work, one file each: a loader, a train loop, or both."""
