"""Shows a build record: a page for people, a table for the terminal."""
