"""What the checks of lecture 10 try the students' repairs on."""
