"""What runs beneath ops: the backends and what differs between them, sums, threads, compiled loops."""
