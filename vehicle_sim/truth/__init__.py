"""What really happened in a run: recorded by the simulator, read by the score."""
