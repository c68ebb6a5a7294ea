#!/bin/sh
# Starts Valkey with the users of config/redis/users.acl. Their passwords are those in redis_url and redis_app_url, so that
# there is one place for each. All of it comes by standard input: on a command line every user of the host could read it.
set -eu
secrets=${SECRETS:-/run/secrets}
users=${USERS_ACL:-/etc/valkey/users.acl}

decoded() { # TEXT: what is percent-encoded in a URL (%2F), as it is meant (/)
  rest=$1
  while plain=${rest%%%*} && printf %s "$plain" && [ "$plain" != "$rest" ]; do
    rest=${rest#"$plain"%}
    hex=$(printf %.2s "$rest")
    case $hex in
      [0-9A-Fa-f][0-9A-Fa-f]) printf %b "\\0$(printf %03o "0x$hex")" && rest=${rest#"$hex"} ;;
      *) printf %% ;;
    esac
  done
}

sha256_of_password() { # FILE USER: of the URL in it, redis://USER:PASSWORD@valkey:6379/0
  url=$(cat "$secrets/$1")
  authority=${url#*://}
  authority=${authority%%[/?#]*}
  case $authority in
    "$2":?*@*) ;;
    *)
      echo "$1 must be of the form redis://$2:PASSWORD@valkey:6379/0, with what is special in the password as %XX" >&2
      return 1
      ;;
  esac
  password=${authority#*:}
  decoded "${password%@*}" | sha256sum | cut -c 1-64
}

worker=$(sha256_of_password redis_url worker)
app=$(sha256_of_password redis_app_url app)

# noeviction: better a full queue's error than a message that vanishes
exec valkey-server - <<CONF
dir /data
appendonly yes
appendfsync everysec
maxmemory 256mb
maxmemory-policy noeviction
$(sed -e "s/\${WORKER_PASSWORD_SHA256}/$worker/" -e "s/\${APP_PASSWORD_SHA256}/$app/" "$users")
CONF
