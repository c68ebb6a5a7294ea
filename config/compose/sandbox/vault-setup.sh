#!/bin/sh
# Does in the sandbox's Vault what an operator does once in a real one: a policy for the worker, and an AppRole with it.
# May be repeated.
set -eu
secret_id=$(cat /run/secrets/vault_secret_id)

login() {
  printf %s "$secret_id" | vault write auth/approle/login role_id="$VAULT_ROLE_ID" secret_id=- >/dev/null 2>&1
}

tries=0
until vault status >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "Vault does not answer at $VAULT_ADDR: docker compose logs vault" >&2; exit 1; }
  sleep 1
done

if ! login; then
  vault auth enable approle
  # one policy for each of the targets in rotator.toml, as the file holds one; `rotator vault policy` would print one for all
  for app in media backups; do
    # shellcheck disable=SC2016 # these are the names in the file, not this shell's variables
    sed -e 's|${MOUNT}|secret|g' -e 's|${STATE_PATH}|hostup-rotator/state|g' -e "s|\${APP_PATH}|apps/$app/object-storage|g" \
      /policies/rotator-policy.hcl | vault policy write "hostup-rotator-$app" -
  done
  vault write auth/approle/role/hostup-rotator token_policies=hostup-rotator-media,hostup-rotator-backups token_no_default_policy=true \
    token_ttl=1h token_max_ttl=24h
  vault write auth/approle/role/hostup-rotator/role-id role_id="$VAULT_ROLE_ID"
  printf %s "$secret_id" | vault write auth/approle/role/hostup-rotator/custom-secret-id secret_id=- >/dev/null
  login
fi
echo "Vault is ready for the worker"
