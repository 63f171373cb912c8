#!/bin/bash
# peers.sh CLAW: requests per second and latency through claw and others that do the same, beside the same load without any.
# Each in turn, so many ROUNDS (7) of so many SECS (2); prints a Markdown table of medians. Runs in namespaces of its own.
#
# Needs root and nginx-light, wrk, nghttp2-client, openssl, iproute2, nftables. Takes part if it is there: squid with OpenSSL
# (squid-openssl), mitmproxy (MITMDUMP=…, from PyPI), sandlock (SANDLOCK_PYTHON=… a Python that imports it).
set -u
claw=$(realpath "${1:?usage: peers.sh CLAW}")
ROUNDS=${ROUNDS:-7} SECS=${SECS:-2} ONLY=${ONLY:-.}
MITMDUMP=${MITMDUMP:-$(command -v mitmdump || true)} SANDLOCK_PYTHON=${SANDLOCK_PYTHON:-}
if [ -z "${PEERS_INSIDE:-}" ]; then
    exec env -u HTTP_PROXY -u HTTPS_PROXY -u http_proxy -u https_proxy PEERS_INSIDE=1 \
        unshare --net --mount --pid --fork --mount-proc --kill-child --propagation private "$0" "$@"
fi
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
host=api.bench.test url=api.bench.test/v1/thing

# --- a network with one server ---
ip link set lo up
ip addr add 8.8.8.8/32 dev lo
printf '127.0.0.1 localhost\n8.8.8.8 %s\n' $host > "$work/hosts"
mount --bind "$work/hosts" /etc/hosts
ulimit -n "$(ulimit -Hn)"

authority() { # NAME: a throwaway authority
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
        -addext basicConstraints=critical,CA:TRUE -keyout "$work/$1.key" -out "$work/$1.pem" 2>/dev/null
}
authority lab
authority middle
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$host" -keyout "$work/server.key" \
    -out "$work/server.csr" 2>/dev/null
openssl x509 -req -in "$work/server.csr" -CA "$work/lab.pem" -CAkey "$work/lab.key" -CAcreateserial -days 2 \
    -extfile <(printf 'subjectAltName=DNS:%s' $host) -out "$work/server.pem" 2>/dev/null

listens() { for _ in $(seq 100); do (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null && return; sleep .1; done; return 1; }

cat > "$work/nginx.conf" <<N
daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; tcp_nodelay on; default_type text/plain;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f;
  uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server { listen 8.8.8.8:80; location / { return 200 "hello, bench\\n"; } }
  server { listen 8.8.8.8:443 ssl http2; ssl_protocols TLSv1.3; ssl_certificate $work/server.pem;
           ssl_certificate_key $work/server.key; location / { return 200 "hello, bench\\n"; } }
}
N
nginx -c "$work/nginx.conf" & listens 8.8.8.8 443 || { echo "nginx does not listen"; exit 1; }

# --- the peers ---
redirect() { # PLAIN TLS: everything but what belongs to user or group proxy goes there
    nft -f - <<N
table ip peers
delete table ip peers
table ip peers { chain out { type nat hook output priority -100;
  meta skuid "proxy" accept
  meta skgid "proxy" accept
  ip daddr 8.8.8.8 tcp dport 80 redirect to :$1
  ip daddr 8.8.8.8 tcp dport 443 redirect to :$2
}
}
N
}
straight() { nft -f - <<< $'table ip peers\ndelete table ip peers'; }

squid=
if [ -x /usr/lib/squid/security_file_certgen ]; then
    mount -t tmpfs none /dev/shm; mount -t tmpfs none /run; mkdir -p /run/squid; chown proxy:proxy /run/squid
    /usr/lib/squid/security_file_certgen -c -s "$work/certificates" -M 4MB > /dev/null
    chown -R proxy:proxy "$work/certificates"
    : > "$work/squid.log"; chown proxy "$work/squid.log"
    cat > "$work/squid.conf" <<S
visible_hostname peers
cache_effective_user proxy
pid_filename none
http_port 127.0.0.1:3128
http_port 127.0.0.1:3129 intercept
https_port 127.0.0.1:3130 intercept ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB tls-cert=$work/middle.pem tls-key=$work/middle.key
sslcrtd_program /usr/lib/squid/security_file_certgen -s $work/certificates -M 4MB
sslcrtd_children 1 startup=1 idle=1
tls_outgoing_options cafile=$work/lab.pem
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
http_access allow all
cache deny all
cache_mem 8 MB
access_log none
cache_log $work/squid.log
cache_store_log none
coredump_dir $work
shutdown_lifetime 0 seconds
S
    # not 3129 or 3130: a connection there that was not redirected makes squid stop accepting on it
    /usr/sbin/squid -f "$work/squid.conf" -N > /dev/null 2>&1 & listens 127.0.0.1 3128 && squid=yes
fi
if [ -n "$MITMDUMP" ]; then
    mkdir "$work/mitm"; cat "$work/middle.key" "$work/middle.pem" > "$work/mitm/mitmproxy-ca.pem"
    chown -R proxy "$work/mitm"
    setpriv --regid proxy --clear-groups env HOME="$work" "$MITMDUMP" -q --mode transparent --listen-host 127.0.0.1 \
        --listen-port 8081 --set confdir="$work/mitm" --set ssl_verify_upstream_trusted_ca="$work/lab.pem" \
        --set block_global=false --set flow_detail=0 > /dev/null 2>&1 & listens 127.0.0.1 8081 || MITMDUMP=
fi
if [ -n "$SANDLOCK_PYTHON" ]; then
    cat /etc/ssl/certs/ca-certificates.crt "$work/lab.pem" > "$work/bundle"
    mount --bind "$work/bundle" /etc/ssl/certs/ca-certificates.crt
    openssl pkcs8 -topk8 -nocrypt -in "$work/middle.key" -out "$work/middle8.key"
    cat > "$work/boxed.py" <<P
import sys
from sandlock import Sandbox
box = Sandbox(fs_readable=["/"], fs_writable=["$work", "/dev/null"], http_allow=["GET $host/*"],
              http_ca="$work/middle.pem", http_key="$work/middle8.key")
result = box.run(sys.argv[1:])
sys.stdout.write(result.stdout.decode() if isinstance(result.stdout, bytes) else result.stdout)
P
fi
rule() { # PORT MORE
    printf '    - {destination: "%s:%s", plane: tool, purpose: bench, addresses: [8.8.8.8], %s}\n' $host "$1" "$2"
}
policy() { printf 'version: 1\nnetwork_policy:\n  workload:\n'; rule 80 "$1"; rule 443 "$2"; }
request='http: ["GET /v1/thing"]'
policy "protocol: TCP/HTTP, $request" "$request, upstream_ca: $work/lab.pem" > "$work/requests.yaml"
policy 'protocol: TCP' 'protocol: TCP/TLS' > "$work/relay.yaml"
policy 'protocol: TCP, path: brokered' 'protocol: TCP, path: brokered' > "$work/brokered.yaml"

# --- load: each prints "requests/s p50 p99" in microseconds ---
read_wrk() {
    awk 'function us(v) { if (v ~ /us$/) return v + 0; if (v ~ /ms$/) return v * 1e3; return v * 1e6 }
         $1 == "50%" { a = us($2) } $1 == "99%" { b = us($2) } /^Requests\/sec/ { r = $2 } /Non-2xx|Socket errors/ { e = 1 }
         END { if (r == "" || e) print "- - -"; else printf "%d %d %d\n", r, a, b }'
}
read_h2load() {
    python3 -c '
import re, sys
head, _, log = sys.stdin.read().partition("\n=\n")
rate = re.search(r"finished in .*?, ([\d.]+) req/s", head)
rows = [line.split() for line in log.splitlines()]
times = sorted(int(row[2]) for row in rows if len(row) == 3)
good = rate and times and "Application protocol: h2" in head and all(row[1] == "200" for row in rows if len(row) == 3)
print(int(float(rate[1])), times[len(times) // 2], times[len(times) * 99 // 100]) if good else print("- - -")'
}
load() { # PREFIX… :: SCHEME PROTOCOL CONNECTIONS
    local prefix=()
    while [ "$1" != :: ]; do prefix+=("$1"); shift; done
    shift
    if [ "$2" = h2 ]; then
        "${prefix[@]}" sh -c "h2load -D $SECS -c ${3%x*} -m ${3#*x} --log-file=/tmp/peers.log $1://$url; echo =; cat /tmp/peers.log; rm /tmp/peers.log" \
            2>/dev/null | read_h2load
    else
        "${prefix[@]}" wrk -t1 -c"$3" -d"${SECS}s" --latency "$1://$url" 2>/dev/null | read_wrk
    fi
}
claws() { # POLICY SCHEME…
    local name=$1; shift
    straight
    (cd "$work" && XDG_STATE_HOME=$work/state load "$claw" run -q --policy "$work/$name.yaml" -- :: "$@")
}
side() { # SIDE SCHEME PROTOCOL CONNECTIONS
    local one=$1; shift
    case $one in
        direct) straight; load env :: "$@" ;;
        relay | brokered | requests) claws "$one" "$@" ;;
        squid) redirect 3129 3130; load env :: "$@" ;;
        mitmproxy) redirect 8081 8081; load env :: "$@" ;;
        sandlock) straight; load "$SANDLOCK_PYTHON" "$work/boxed.py" :: "$@" ;;
    esac
}
sides="direct relay brokered requests"
[ -n "$squid" ] && sides="$sides squid"
[ -n "$SANDLOCK_PYTHON" ] && sides="$sides sandlock"
[ -n "$MITMDUMP" ] && sides="$sides mitmproxy"

for _ in $(seq "$ROUNDS"); do
    for cell in "http h1 1" "http h1 32" "https h1 1" "https h1 32" "https h2 1x1" "https h2 8x4"; do
        for one in $sides; do
            case "$one $cell" in "squid https h2"*|"sandlock https h2"*) continue ;; esac
            echo "$one $cell" | grep -Eq "$ONLY" || continue
            # shellcheck disable=SC2086
            echo "$cell $one $(side $one $cell < /dev/null)" >> "$work/results"
            sleep .2
        done
    done
done
echo "| load | through | requests/s | of direct | p50 µs | p99 µs |"
echo "|---|---|---|---|---|---|"
python3 - "$work/results" <<'P'
import statistics, sys
cells = {}
for line in open(sys.argv[1]):
    *load, side, rate, middle, most = line.split()
    row = cells.setdefault((" ".join(load), side), [])
    if rate != "-":
        row.append((int(rate), int(middle), int(most)))
for (load, side), rows in cells.items():
    if not rows:
        print(f"| {load} | {side} | failed | | | |")
        continue
    rate, middle, most = (statistics.median(row[at] for row in rows) for at in range(3))
    direct = statistics.median(row[0] for row in cells[load, "direct"])
    print(f"| {load} | {side} | {rate:.0f} | {rate / direct:.2f} | {middle:.0f} | {most:.0f} |")
P
