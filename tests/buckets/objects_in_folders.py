"""Object stores in a folder, as file systems of fsspec, to which epath hands gs:// and s3://.

With this folder on its path (PYTHONPATH) Python finds `gcsfs` and `s3fs` here. Objects lie in the folder that the
variable JGAN_TEST_BUCKETS names, and are put whole, by a rename. As in a store there are no folders but those in which
objects lie, nothing is appended to, and `mode="create"` puts an object only if there is none.
"""

import datetime
import io
import os
import secrets

import fsspec


class Objects(fsspec.AbstractFileSystem):
    def __init__(self, *args, use_listings_cache=True, **options):
        super().__init__(*args, use_listings_cache=use_listings_cache, **options)
        # What a real one would keep of lists, others could not see: nobody here relies on it.
        assert not use_listings_cache

    def _place(self, path):
        return os.path.join(os.environ["JGAN_TEST_BUCKETS"], self.protocol[0], self._strip_protocol(path))

    def info(self, path, **_):
        path = self._strip_protocol(path)
        place = self._place(path)
        if os.path.isfile(place):
            status = os.stat(place)
            written = datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)
            return {
                "name": path,
                "size": status.st_size,
                "type": "file",
                self.tag: f"{status.st_mtime_ns} {status.st_ino}",
                self.time: written,
            }
        if any(names for _, _, names in os.walk(place)):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path, detail=True, **_):
        path = self._strip_protocol(path)
        if self.info(path)["type"] == "file":
            found = [self.info(path)]
        else:
            found = []
            for name in os.listdir(self._place(path)):
                try:
                    found.append(self.info(f"{path}/{name}"))
                except FileNotFoundError:
                    pass  # no object is in it, or it has just gone
        return found if detail else [entry["name"] for entry in found]

    def mkdir(self, path, create_parents=True, **_):
        pass

    def makedirs(self, path, exist_ok=False):
        pass

    def rmdir(self, path):
        pass

    def rm_file(self, path):
        self.info(path)
        os.remove(self._place(path))

    def rm(self, path, recursive=False, maxdepth=None):
        self.info(path)
        for name in list(self.find(path)) if recursive else [path]:
            self.rm_file(name)

    def pipe_file(self, path, value, mode="overwrite", **_):
        place = self._place(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        draft = os.path.join(os.environ["JGAN_TEST_BUCKETS"], secrets.token_hex(8))
        with open(draft, "xb") as file:
            file.write(value)
        if mode == "create":
            try:
                os.link(draft, place)
            finally:
                os.remove(draft)
        else:
            os.replace(draft, place)

    def put_file(self, lpath, rpath, **_):
        with open(lpath, "rb") as file:
            self.pipe_file(rpath, file.read())

    def _open(self, path, mode="rb", **_):
        if mode == "rb":
            if self.info(path)["type"] != "file":
                raise FileNotFoundError(path)
            return open(self._place(path), "rb")
        if mode != "wb":
            raise NotImplementedError(f"objects are not opened as {mode!r}")
        return _Put(self, path)


class _Put(io.BytesIO):
    """An object that is put when it is closed."""

    def __init__(self, store, path):
        super().__init__()
        self._to = store, path

    def close(self):
        if not self.closed:
            store, path = self._to
            store.pipe_file(path, self.getvalue())
        super().close()
