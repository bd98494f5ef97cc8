"""What a trained model has learned: attributions, mutagenesis, motifs, their grammar, and sequences designed for it."""
