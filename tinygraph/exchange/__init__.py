"""Meet others: what libraries that readers know call things, and what to write here instead."""
