# Vault Agent (or `bao agent`) beside an app: starts it with its key in the environment, and again when the key changes.
# Run it with: vault agent -config vault-agent.hcl
#
# The target's `fields` are "aws-env" here, so the names are those that AWS SDKs, restic and rclone (env_auth) know.
# The target's `grace` must be longer than static_secret_render_interval and a restart of the app together.

vault {
  address = "https://vault.example.com:8200"
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "/etc/media/vault-role-id"
      secret_id_file_path                 = "/etc/media/vault-secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}

template_config {
  static_secret_render_interval = "1m"
}

env_template "AWS_ACCESS_KEY_ID" {
  contents = "{{ with secret \"secret/data/apps/media/object-storage\" }}{{ .Data.data.AWS_ACCESS_KEY_ID }}{{ end }}"
}
env_template "AWS_SECRET_ACCESS_KEY" {
  contents = "{{ with secret \"secret/data/apps/media/object-storage\" }}{{ .Data.data.AWS_SECRET_ACCESS_KEY }}{{ end }}"
}
env_template "AWS_ENDPOINT_URL_S3" {
  contents = "{{ with secret \"secret/data/apps/media/object-storage\" }}{{ .Data.data.AWS_ENDPOINT_URL_S3 }}{{ end }}"
}
env_template "AWS_REGION" {
  contents = "{{ with secret \"secret/data/apps/media/object-storage\" }}{{ .Data.data.AWS_REGION }}{{ end }}"
}

exec {
  command                   = ["/usr/local/bin/media"]
  restart_on_secret_changes = "always"
  restart_stop_signal       = "SIGTERM"
}
