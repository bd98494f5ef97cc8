"""DNA as text, codes and intervals; needs NumPy only."""
