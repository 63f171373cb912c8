#!/bin/sh
# run.sh CLAW NODE_MODULES_DIR: starts a model server and a weather service on loopback, runs a Node agent under claw, and
# checks its answer and what the ledger says. NODE_MODULES_DIR (its last part is `node_modules`) is filled from
# package.json if it is not there (that asks the registry). Needs node and npm under /usr, openssl and python3.
# Exits 0 and prints `ok`, or says what failed.
set -eu
claw=$(realpath "${1:?usage: run.sh CLAW NODE_MODULES_DIR}")
modules=${2:?usage: run.sh CLAW NODE_MODULES_DIR}
here=$(dirname "$(realpath "$0")")
if [ ! -d "$modules/openai" ]; then
    [ "$(basename "$modules")" = node_modules ] || { echo "failed: $modules is not called node_modules"; exit 1; }
    mkdir -p "$(dirname "$modules")"
    above=$(realpath "$(dirname "$modules")")
    [ "$above" = "$here" ] || cp "$here/package.json" "$here/.npmrc" "$above"
    (cd "$above" && npm install --no-package-lock --no-audit --no-fund --no-update-notifier --loglevel=error)
fi
modules=$(realpath "$modules")
python=/usr/bin/python3; [ -x "$python" ] || python=python3
node=/usr/bin/node; [ -x "$node" ] || node=node
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

"$here/../certificates.sh" "$work" model.lab.test weather.lab.test
"$python" "$here/../model_server.py" "$work/server.pem" "$work/server.key" "$work/ports" &
server=$!
tries=0
until [ -s "$work/ports" ]; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || fail "the servers did not start"
    sleep 0.1
done
read -r model weather < "$work/ports" || [ -n "$weather" ]

# What the agent sees is this directory, and no key. Node looks for packages beside the script.
mkdir "$work/agent"
cp "$here/agent.js" "$here/package.json" "$work/ca.pem" "$work/agent"
ln -s "$modules" "$work/agent/node_modules"
sed -e "s|@MODEL@|$model|" -e "s|@WEATHER@|$weather|" -e "s|@MODULES@|$modules|" "$here/agent_runtime.yaml" \
    > "$work/agent_runtime.yaml"
"$claw" policy check "$work/agent_runtime.yaml" || fail "the policy has findings"

cd "$work/agent"
"$claw" run --policy "$work/agent_runtime.yaml" --ledger "$work/run.jsonl" -- \
    "$node" agent.js "https://model.lab.test:$model/v1" "https://weather.lab.test:$weather" > "$work/answer" \
    || { cat "$work/answer"; fail "the agent"; }
cat "$work/answer"
grep -q 'The weather report says: sun, 21 C\.$' "$work/answer" || fail "the agent's answer"

"$claw" ledger verify "$work/run.jsonl" || fail "the ledger is broken"
"$claw" ledger show --json "$work/run.jsonl" > "$work/records"
connects=$(count '"kind":"connect"' '"decision":"allow"')
to_model=$(count '"kind":"connect"' '"decision":"allow"' '"model.lab.test"' '"assurance":"sni"')
to_weather=$(count '"kind":"connect"' '"decision":"allow"' '"weather.lab.test"' '"assurance":"sni"')
[ "$to_model" -ge 1 ] && [ "$to_weather" -ge 1 ] || fail "the permitted connections are not in the ledger"
[ "$connects" = $((to_model + to_weather)) ] || fail "something else was reached: see $connects connections"
[ "$(count '"kind":"dns"' '"collector.evil.test"' '"decision":"deny"' '"reason":"no-rule"')" -ge 1 ] \
    || fail "the refused attempt is not in the ledger"
echo ok
