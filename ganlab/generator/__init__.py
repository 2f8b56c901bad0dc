"""What is shipped: a generator's file, how it is used, and how it becomes another format."""
