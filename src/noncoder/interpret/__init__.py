"""What a trained model has learned: attributions, mutagenesis, motifs, their grammar, and sequences made to please it."""
