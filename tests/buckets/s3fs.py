"""The store of s3:// in tests; times and tags have the names that s3fs gives them."""

import objects_in_folders

__version__ = "2026.9.0"  # fsspec asks for it


class S3FileSystem(objects_in_folders.Objects):
    protocol = ("s3", "s3a")
    tag, time = "ETag", "LastModified"
