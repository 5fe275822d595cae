"""The editor: sessions as pure data, an engine that owns the device, and the page and its API on top of it."""
