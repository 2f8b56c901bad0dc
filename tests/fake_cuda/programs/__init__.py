"""What runs on fake GPUs, a process for each module: a function's answer goes back to the test that has asked."""
