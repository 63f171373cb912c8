#!/bin/sh
# run.sh CLAW VENV: starts a model server and a weather service on loopback, runs a LangChain agent under claw, and checks
# its answer and what the ledger says. VENV is made from requirements.txt if it is not there (that asks PyPI).
# Needs openssl and a python3 under /usr. Exits 0 and prints `ok`, or says what failed.
set -eu
claw=$(realpath "${1:?usage: run.sh CLAW VENV}")
venv=${2:?usage: run.sh CLAW VENV}
here=$(dirname "$(realpath "$0")")
if [ ! -x "$venv/bin/python" ]; then
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
fi
venv=$(realpath "$venv")
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
/usr/bin/python3 "$here/../model_server.py" "$work/server.pem" "$work/server.key" "$work/ports" &
server=$!
tries=0
until [ -s "$work/ports" ]; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || fail "the servers did not start"
    sleep 0.1
done
read -r model weather < "$work/ports" || [ -n "$weather" ]

# What the agent sees is this directory, and no key.
mkdir "$work/agent"
cp "$here/agent.py" "$work/ca.pem" "$work/agent"
sed -e "s|@MODEL@|$model|" -e "s|@WEATHER@|$weather|" -e "s|@VENV@|$venv|" "$here/agent_runtime.yaml" \
    > "$work/agent_runtime.yaml"
"$claw" policy check "$work/agent_runtime.yaml" || fail "the policy has findings"

cd "$work/agent"
"$claw" run --policy "$work/agent_runtime.yaml" --ledger "$work/run.jsonl" -- \
    "$venv/bin/python" agent.py "https://model.lab.test:$model/v1" "https://weather.lab.test:$weather" \
    > "$work/answer" 2> "$work/log" || { cat "$work/log"; fail "the agent"; }
cat "$work/answer"
"$claw" ledger show --summary "$work/run.jsonl"
[ "$(grep -c 'The weather report says: snow, -3 C\.$' "$work/answer")" = 2 ] || fail "the agent's answers"

"$claw" ledger verify "$work/run.jsonl" || fail "the ledger is broken"
"$claw" ledger show --json "$work/run.jsonl" > "$work/records"
connects=$(count '"kind":"connect"' '"decision":"allow"')
to_model=$(count '"kind":"connect"' '"decision":"allow"' '"model.lab.test"' '"assurance":"sni"')
to_weather=$(count '"kind":"connect"' '"decision":"allow"' '"weather.lab.test"' '"assurance":"sni"')
[ "$to_model" -ge 1 ] && [ "$to_weather" -ge 1 ] || fail "the permitted connections are not in the ledger"
[ "$connects" = $((to_model + to_weather)) ] || fail "something else was reached: see $connects connections"
[ "$(count '"kind":"dns"' '"decision":"allow"')" = "$(count '"kind":"dns"' '"decision":"allow"' '\.lab\.test"')" ] \
    || fail "another name was answered"
[ "$(count '"kind":"dns"' '"api.smith.langchain.com"' '"decision":"deny"' '"reason":"no-rule"')" -ge 1 ] \
    || fail "the refused attempt to send traces is not in the ledger"
echo ok
