"""How things look: tables, the board of a run's steps, the box of a failure, a picture of the terminal."""
