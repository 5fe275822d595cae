"""What Orbax asks Google's library before it lists checkpoints: whether a bucket has a hierarchy of folders."""

import types


class Client:
    def get_bucket(self, name):
        return types.SimpleNamespace(hierarchical_namespace_enabled=False)
