#!/bin/sh
# Starts Valkey with the password that the worker's redis_url has, so that there is one place for it. It comes by standard
# input: on a command line every user of the host could read it.
set -eu
url=$(cat /run/secrets/redis_url) # redis://[user]:PASSWORD@valkey:6379/0
password=${url#*://*:}
password=${password%%@*}

# noeviction: better a full queue's error than a message that vanishes
exec valkey-server - <<CONF
dir /data
appendonly yes
appendfsync everysec
maxmemory 256mb
maxmemory-policy noeviction
requirepass $password
CONF
