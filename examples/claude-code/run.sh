#!/bin/sh
# run.sh CLAW DIRECTORY: lets the real Claude Code answer through a server of this example's that plays api.anthropic.com,
# under a policy that permits `POST /v1/messages` on that host, reading its settings, and nothing else it offers. Its
# telemetry goes to the very same host, and gets a 403. DIRECTORY is filled by npm if it is empty (that asks the registry;
# the package has its own licence). Needs npm, openssl, python3 and util-linux. Exits 0 and prints `ok`, or says what
# failed.
set -eu
claw=$(realpath "${1:?usage: run.sh CLAW DIRECTORY}")
packages=${2:?usage: run.sh CLAW DIRECTORY}
here=$(dirname "$(realpath "$0")")
if [ ! -d "$packages/node_modules/@anthropic-ai/claude-code" ]; then
    mkdir -p "$packages"
    (cd "$packages" && npm install --prefix . --no-package-lock --no-audit --no-fund --no-update-notifier \
        --loglevel=error @anthropic-ai/claude-code)
fi
packages=$(realpath "$packages")
if [ "${CLAW_EXAMPLE_NETWORK:-}" != own ]; then
    # port 443 of a network of its own: nothing else is reachable there, with or without claw
    CLAW_EXAMPLE_NETWORK=own exec unshare --user --map-root-user --net "$0" "$claw" "$packages"
fi
ip link set lo up
agent=$(find "$packages/node_modules/@anthropic-ai" -type f -perm -u+x -name claude -path '*linux*' | head -n 1)
[ -n "$agent" ] || agent=$packages/node_modules/.bin/claude
python=/usr/bin/python3; [ -x "$python" ] || python=python3
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

fail() { echo "failed: $1"; exit 1; }
count() { # records that hold every pattern
    lines=$(cat "$work/records")
    for pattern in "$@"; do lines=$(printf '%s\n' "$lines" | grep -e "$pattern" || true); done
    printf '%s' "$lines" | grep -c . || true
}

"$here/../certificates.sh" "$work" api.anthropic.com
"$python" "$here/api_server.py" "$work/server.pem" "$work/server.key" "$work/log" &
server=$!
tries=0
until [ -e "$work/log" ]; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || fail "the server did not start"
    sleep 0.1
done
sed -e "s|@CA@|$work/ca.pem|" -e "s|@MODULES@|$packages|" "$here/agent_runtime.yaml" > "$work/agent_runtime.yaml"
"$claw" policy check "$work/agent_runtime.yaml" || fail "the policy has findings"
mkdir "$work/agent"
cd "$work/agent"
ANTHROPIC_API_KEY=dummy "$claw" run --policy "$work/agent_runtime.yaml" --ledger "$work/run.jsonl" -- \
    "$agent" -p 'What is 2+2?' < /dev/null > "$work/answer" 2> "$work/errors" \
    || { cat "$work/answer" "$work/errors"; fail "the agent"; }
cat "$work/answer"
grep -q 'The lab answers: 4\.' "$work/answer" || fail "the agent's answer"
sort "$work/log" | uniq -c

"$claw" ledger verify "$work/run.jsonl" || fail "the ledger is broken"
"$claw" ledger show --json "$work/run.jsonl" > "$work/records"
"$claw" ledger show --summary "$work/run.jsonl"
permitted='^POST /v1/messages[? ]\|^GET /api/claude_code/settings[? ]'
if grep -v "$permitted" "$work/log"; then fail "something else arrived"; fi
[ "$(count '"kind":"request"' '"decision":"allow"' '"plane":"inference"' '"path":"/v1/messages"')" -ge 1 ] \
    || fail "the call of the model is not in the ledger"
[ "$(count '"kind":"request"' '"decision":"allow"' '"plane":"control"')" -ge 1 ] \
    || fail "the host was not split into its planes"
[ "$(count '"kind":"request"' '"decision":"deny"' 'event_logging' '"reason":"path"')" -ge 1 ] \
    || fail "the refused telemetry is not in the ledger"
[ "$(count '"kind":"connect"' '"decision":"deny"')" -eq 0 ] || fail "a connection was refused"
echo ok
