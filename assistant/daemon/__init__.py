"""The daemon: one engine, many ears, until it is told to stop."""
