"""Compile a function: trace it, find few sweeps over memory by rules about sums, and write kernels for it.

In the order of the story:

- **record**: `compiled` finds the version for the arguments of a call by a key (`keys`). A new one (`version`; of a
  whole training step, `whole`) runs the function on arrays without elements (`standin`, `trace`), with such arrays also
  in place of what it finds around it (`state`);
- **lift**: what was traced becomes `values` in one vocabulary, forward and backward, and these become expressions over
  `loops`;
- **canonical form**: `algebra` makes each expression once, and simplified; `collect` gathers terms;
- **schedule**: `schedule` puts expressions into kernels and sweeps, and `kernel` says what happens in which pass;
  `program` cuts at calls and views, and runs the steps;
- **print**: `in_numpy`, `in_numba` with `elementary` functions, and `in_cuda` write the source; `launch` gives it
  arrays, `cache` keeps it on disk. `plan` says in numbers what a program does, and `picture` draws it.
"""
