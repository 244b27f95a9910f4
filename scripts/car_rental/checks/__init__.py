"""Before any money is spent: what stands in the way of a run, what it would do, what it would cost."""
