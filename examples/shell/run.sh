#!/bin/sh
# run.sh CLAW: starts a shop on loopback, runs the agent under claw, and checks what the ledger says.
# Needs curl, openssl and python3. Exits 0 and prints `ok`, or says what failed.
set -eu
claw=$(realpath "${1:?usage: run.sh CLAW}")
here=$(dirname "$(realpath "$0")")
python=/usr/bin/python3; [ -x "$python" ] || python=python3
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

fail() { echo "failed: $1"; exit 1; }
holds() { # what must be in the ledger, as a pattern per word
    what=$1; shift
    lines=$(cat "$work/records")
    for pattern in "$@"; do lines=$(printf '%s\n' "$lines" | grep -e "$pattern") || fail "the ledger does not show $what"; done
}

"$here/../certificates.sh" "$work" api.shop.test evil.shop.test
"$python" "$here/server.py" "$work/server.pem" "$work/server.key" "$work/port" &
server=$!
tries=0
until [ -s "$work/port" ]; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || fail "the server did not start"
    sleep 0.1
done
port=$(cat "$work/port")

# What the agent sees is this directory alone: its script, the authority's certificate, and no key.
mkdir "$work/agent"
cp "$here/agent.sh" "$work/ca.pem" "$work/agent"
sed "s/@PORT@/$port/" "$here/agent_runtime.yaml" > "$work/agent_runtime.yaml"
"$claw" policy check "$work/agent_runtime.yaml" || fail "the policy has findings"

cd "$work/agent"
"$claw" run --policy "$work/agent_runtime.yaml" --ledger "$work/run.jsonl" -- ./agent.sh "$port" || fail "the agent"

"$claw" ledger verify "$work/run.jsonl" || fail "the ledger is broken"
"$claw" ledger show --json "$work/run.jsonl" > "$work/records"
holds "the permitted connection" '"kind":"connect"' '"api.shop.test"' '"decision":"allow"' '"assurance":"sni"'
holds "the other name" '"kind":"dns"' '"evil.shop.test"' '"decision":"deny"' '"reason":"no-rule"'
holds "the wrong name in TLS" '"kind":"connect"' '"api.shop.test"' '"reason":"sni-mismatch"'
holds "plain HTTP" '"kind":"connect"' '"api.shop.test"' '"reason":"not-tls"'
holds "the other port" '"kind":"connect"' '"api.shop.test"' '"port":444' '"reason":"no-rule"'
holds "the raw address" '"kind":"connect"' '"192.0.2.10"' '"reason":"raw-address"'
allowed=$(grep '"kind":"connect"' "$work/records" | grep -c '"decision":"allow"')
[ "$allowed" = 1 ] || fail "$allowed connections were allowed, not 1"
echo ok
