#!/bin/sh
# Makes a certificate for the name sandbox-tls, which is also its own authority, and serves with it in front of the
# simulator and of Vault. The folder is a tmpfs volume: the key is never on a disk, and new when everything was stopped.
set -eu
cd /run/sandbox-tls
if [ ! -s certificate.pem ]; then
  # keyUsage: Python 3.13 and newer refuse an authority without it
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj /CN=sandbox-tls \
    -addext subjectAltName=DNS:sandbox-tls -addext keyUsage=critical,digitalSignature,keyCertSign \
    -keyout key.pem -out certificate.new 2>/dev/null
  mv certificate.new certificate.pem # whole from the moment it is seen
fi
exec python -m worker.sandbox.tls --host 0.0.0.0 --certificate certificate.pem --key key.pem \
  8443=simulator:8080 9443=simulator:9000 8200=vault:8200
