"""The store of gs:// in tests."""

import objects_in_folders


class GCSFileSystem(objects_in_folders.Objects):
    protocol = ("gs", "gcs")
    tag, time = "etag", "mtime"
