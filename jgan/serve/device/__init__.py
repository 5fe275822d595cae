"""The editor's engine: one thread owns the device, and everything that runs there is a slice of its time."""
