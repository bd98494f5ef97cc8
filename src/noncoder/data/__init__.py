"""From genomes, peaks and tables to a store, and from a store to batches."""
