"""``jvcr serve``: landmarks over HTTP (extra ``serve``, docs/serve.md).

The main process reads requests and never interprets their bodies; other processes (``jvcr.serve.worker``) do.
"""
