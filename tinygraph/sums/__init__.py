"""Sums: one rule table about Σ. It turns a recorded graph into a closed form, and a closed form into few sweeps.

Read it in this order:

- `form`: expressions as sums of products, equal ones being one object, and the `Former` that builds them;
- `rules`: what may be done to a Σ where it is built, a small function a rule;
- `axes`: which axes of all the values of a graph are the same loop;
- `lift`: from a recorded graph to forms.

    lifted = lift(graph)                 # all rules but the pivot; lift(graph, rules="") for none
    lifted.forms[i]                      # the Form of node i of the graph
    lifted.axes[i]                       # of each axis of its value, the loops that it runs over: () of length 1
    lifted.lengths[a]                    # length of loop a
    lifted.calls                         # ids of nodes that are no sums: their forms are leaves

A `Form` has ``kind`` ("leaf", "number", "product", "sum", "function" or "reduction"), ``parts``, ``axes`` (the loops
that it varies along), ``stage`` (the number of reductions on the longest way to it) and ``id`` (its place in the pool:
a form has a greater one than its parts). ``form.inputs`` are the forms that it is made of; ``behind(forms)`` is all
that some forms need, in order. `Former` makes new ones; it is the only place where they are made.
"""
