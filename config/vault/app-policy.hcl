# What an app may do in Vault: read its own secret, leave receipts, and no more. Replace before use:
#
#   ${MOUNT}     the KV version 2 mount   rotator.toml: vault.mount   e.g. secret
#   ${APP_PATH}  the app's secret         rotator.toml: target.path   e.g. apps/media/object-storage
#
#   export MOUNT=secret APP_PATH=apps/media/object-storage
#   envsubst < app-policy.hcl | vault policy write media-object-storage -

path "${MOUNT}/data/${APP_PATH}" {
  capabilities = ["read"]
}

# No secret is in the metadata: versions and their times, which some Vault clients look at.
path "${MOUNT}/metadata/${APP_PATH}" {
  capabilities = ["read"]
}

# Receipts: which key the app uses, where and since when (rotator.toml: vault.receipts_path). One document, which holds no
# secret and which the worker only reads. Leave this out for an app that leaves none.
path "${MOUNT}/data/hostup-rotator/receipts/${APP_PATH}" {
  capabilities = ["create", "update", "read"]
}

# The token itself, for roles without Vault's "default" policy: helpers give theirs back, agents renew theirs.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
