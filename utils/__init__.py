"""What the lectures share: data, the train loop, the networks, ways to look inside."""
