# Terraform 1.10 and later (or OpenTofu 1.11): the key is read at each run, and is in no state and no plan.
# The data source "vault_kv_secret_v2" would do the same and leave the secret in the state, in plain text, after its
# rotation as well: who can read the state has the key. Never pass it to a resource's ordinary argument, for the same reason.
# A run must be shorter than `grace`, as it goes on with the key that it began with.

ephemeral "vault_kv_secret_v2" "object_storage" {
  mount = "secret"
  name  = "apps/media/object-storage"
}

provider "aws" {
  access_key                  = ephemeral.vault_kv_secret_v2.object_storage.data.access_key
  secret_key                  = ephemeral.vault_kv_secret_v2.object_storage.data.secret_key
  region                      = ephemeral.vault_kv_secret_v2.object_storage.data.region
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_region_validation      = true
  skip_metadata_api_check     = true

  endpoints {
    s3 = ephemeral.vault_kv_secret_v2.object_storage.data.endpoint
  }
}
