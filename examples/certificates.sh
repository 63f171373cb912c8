#!/bin/sh
# certificates.sh DIRECTORY NAME...: a throwaway authority (ca.pem) and one server certificate (server.pem, server.key)
# for the names. Run by the examples; nothing of it is trusted anywhere else.
set -eu
directory=$1; shift
names=$(printf ',DNS:%s' "$@")
cd "$directory"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=throwaway authority" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout ca.key -out ca.pem 2>openssl.log
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
    -keyout server.key -out server.csr 2>>openssl.log
printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' "${names#,}" > server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext \
    -out server.pem 2>>openssl.log
rm -f ca.key ca.srl server.csr server.ext
