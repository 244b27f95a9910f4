"""What the documents take from the program, so that no page says what the program does not."""
