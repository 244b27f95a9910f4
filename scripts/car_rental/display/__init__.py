"""The terminal: messages, tables, the board of a run's steps, error boxes, a picture of it all."""
