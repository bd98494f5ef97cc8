"""Public datasets from the web: a catalogue, downloads that resume, checks, and a cache."""
