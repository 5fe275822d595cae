"""The editor's engine: one thread owns the device, and all work on the device is done in short slices of its time."""
