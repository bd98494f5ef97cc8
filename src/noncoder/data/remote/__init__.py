"""Public datasets from the web: a catalogue, downloads that go on where they were cut off, checks, a cache."""
