"""Vault: records and apps' secrets in KV version 2 (:mod:`worker.vault.kv`), and all it takes to get at them."""
