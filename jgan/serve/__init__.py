"""The editor: sessions as pure data, an engine that owns the device, and the web server with the page and its API."""
