"""Results of a run on disk: the paths of the files, the inputs of each result, and typed contents."""
