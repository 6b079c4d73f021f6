"""The HTTP and WebSocket paths, a module for each group."""
