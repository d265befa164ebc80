"""What the lectures share: data, augmentation, the train loop, the networks, and ways to look inside them."""
