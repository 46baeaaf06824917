"""What the DAGs of this folder share: the operator, and the factory that makes a pipeline of it."""
