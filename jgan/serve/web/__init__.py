"""The editor's server: HTTP and sockets, who may enter, what is kept, and the page."""
