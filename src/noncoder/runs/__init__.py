"""What a run leaves on disk: the paths of its files, what each result was made from, and what results hold."""
