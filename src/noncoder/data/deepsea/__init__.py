"""DeepSEA's data: its bundle to a store and back, and its tasks with what was published of them."""
