# What the rotator may do in Vault, and no more. Replace before use:
#
#   ${MOUNT}       the KV version 2 mount            rotator.toml: vault.mount        e.g. secret
#   ${STATE_PATH}  where the records of targets are  rotator.toml: vault.state_path   e.g. hostup-rotator/state
#   ${APP_PATH}    an app's secret                   rotator.toml: target.path        e.g. apps/media/object-storage
#
# Repeat the last part for every target, and for every copy of its secret (rotator.toml: target.also). A "+" for any segment (apps/+/object-storage) would let the worker, and whoever
# steals its token, read and destroy the secrets of apps that are no targets. This prints it for all that are configured:
#
#   rotator vault policy | vault policy write hostup-rotator -
#
# or, for one target and without the rotator:
#
#   export MOUNT=secret STATE_PATH=hostup-rotator/state APP_PATH=apps/media/object-storage
#   envsubst < rotator-policy.hcl | vault policy write hostup-rotator -
#   vault write auth/approle/role/hostup-rotator token_policies=hostup-rotator token_no_default_policy=true \
#     token_ttl=1h token_max_ttl=24h
#
# Without Vault's "default" policy, because nothing in it is needed, and because Vault parses its templates anew for
# every call: a quarter of the CPU that a rotation took of Vault was that (OpenBao 2.7).

# The records: read and written with check-and-set.
path "${MOUNT}/data/${STATE_PATH}/*" {
  capabilities = ["create", "update", "read"]
}

# Their settings (one version only, check-and-set required; whether they expire), and the list of them.
path "${MOUNT}/metadata/${STATE_PATH}/*" {
  capabilities = ["create", "read", "update", "list"]
}

# The worker's own API key, only where it lies in Vault (rotator.toml: hostup.api_key_path); a path of its own.
# path "${MOUNT}/data/rotator/hostup" {
#   capabilities = ["create", "update", "read"]
# }

# The mount's settings: whether it lets versions expire.
path "${MOUNT}/config" {
  capabilities = ["read"]
}

# The token itself and what it may do.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
path "sys/capabilities-self" {
  capabilities = ["update"]
}

# One target: its app's secret is written, read back, and an old version is destroyed when its key is dead.
path "${MOUNT}/data/${APP_PATH}" {
  capabilities = ["create", "update", "read"]
}
path "${MOUNT}/destroy/${APP_PATH}" {
  capabilities = ["update"]
}
# Whether it is set to expire, before the first key; without this nobody is told.
path "${MOUNT}/metadata/${APP_PATH}" {
  capabilities = ["read"]
}
# A version that somebody deleted is brought back. Without this the worker publishes a new key instead.
path "${MOUNT}/undelete/${APP_PATH}" {
  capabilities = ["update"]
}
# What the app says of the key that it uses, if it leaves receipts (rotator.toml: vault.receipts_path).
path "${MOUNT}/data/hostup-rotator/receipts/${APP_PATH}" {
  capabilities = ["read"]
}
