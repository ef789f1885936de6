"""What runs fast beneath ops: threads, compiled loops, BLAS, and the choice among them."""
