"""The editor's server: HTTP and WebSockets, access and limits, the store of sessions, and the page."""
