"""Shows what was found out: pages for builds and searches, a table for the terminal."""
