"""Templates of the files around a model's two C files, one file each; project.py fills them in."""
