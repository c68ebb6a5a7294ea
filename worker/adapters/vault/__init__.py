"""Vault: records and apps' secrets in KV version 2 (:mod:`.kv`), and all it takes to get at them."""
