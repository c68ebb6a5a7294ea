# Vault Agent (or `bao agent`) beside an app that reads its key from a file: writes it, and runs a command after a change.
# Run it with: vault agent -config vault-agent-template.hcl
#
# The target's `fields` are "plain" here. Its `grace` must be longer than static_secret_render_interval and what the app
# takes to read the file again together.

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

template {
  destination          = "/run/media-key/credentials"
  perms                = "0600"
  error_on_missing_key = true
  # not indented: spaces before a line would be in the file
  contents             = <<EOT
{{ with secret "secret/data/apps/media/object-storage" -}}
[default]
aws_access_key_id = {{ .Data.data.access_key }}
aws_secret_access_key = {{ .Data.data.secret_key }}
{{- end }}
EOT
  exec {
    command = ["systemctl", "try-reload-or-restart", "media.service"]
  }
}
