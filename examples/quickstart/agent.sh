#!/usr/bin/env bash
# An agent that first does what its policy allows, then tries to get out. Needs bash; uses curl if it is there.
# Exit 0: everything was as it should be.
set -u
failed=0

say()  { printf '%-8s %s\n' "$1" "$2"; }
wrong() { say WRONG "$1"; failed=1; }

# The gate's own page: what was refused so far, and why.
page() {
    local line body=
    { exec 3<>/dev/tcp/policy.internal/80; } 2>/dev/null || return 1
    printf 'GET / HTTP/1.0\r\nHost: policy.internal\r\n\r\n' >&3
    while IFS= read -r -t 5 line <&3; do
        if [ -n "$body" ]; then printf '%s\n' "$line"; elif [ "$line" = $'\r' ]; then body=yes; fi
    done
    exec 3<&- 3>&-
}

# The reason that the page gives for a destination. What the kernel refuses by itself arrives a moment later.
reason() {
    local destination code rest try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        while read -r destination code rest; do
            [ "$destination" = "$1" ] && { printf '%s' "$code"; return 0; }
        done < <(page)
        sleep 0.2
    done
    return 1
}

# Opens a connection; succeeds if that worked.
knock() { timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; }

refused() { # what was tried, destination
    local code
    if code=$(reason "$2"); then say refused "$1: $code"; else wrong "$1: failed, but the gate gives no reason"; fi
}

echo "What the policy allows:"
if page | grep -q 'Claw sandbox'; then
    say ok "http://policy.internal/, the gate's own page"
else
    echo "This agent is not in a Claw sandbox. Start it with:"
    echo "  cargo run --release -- run --policy examples/quickstart/agent_runtime.yaml -- examples/quickstart/agent.sh"
    exit 1
fi
if ! command -v curl >/dev/null; then
    say skipped "https://example.com/: there is no curl here to speak TLS"
else
    curl --silent --output /dev/null --max-time 8 https://example.com/
    case $? in
        0) say ok "https://example.com/" ;;
        60) say ok "https://example.com/ (reached, but its certificate is not known here)" ;;
        *) if page | grep -q '^  example\.com '; then
               wrong "https://example.com/ was refused, and a rule names it"
           else
               say skipped "https://example.com/: the rule permits it, but it cannot be reached from here (no internet?)"
           fi ;;
    esac
fi

echo "What no rule names:"
if knock evil.example 443; then wrong "evil.example answered"; else refused "evil.example:443, by name" evil.example; fi
if knock 1.1.1.1 443; then wrong "1.1.1.1 answered"; else refused "1.1.1.1:443, by raw address" 1.1.1.1; fi
if knock 169.254.169.254 80; then
    wrong "169.254.169.254 answered"
else
    refused "169.254.169.254:80, cloud metadata" 169.254.169.254
fi

# A question to a name server outside: whatever server is asked, the gate answers, and here "no such name" (code 3).
if exec 4<>/dev/udp/8.8.8.8/53; then
    printf '\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x08unlisted\x07example\x00\x00\x01\x00\x01' >&4
    answer=$(timeout 5 dd bs=512 count=1 <&4 2>/dev/null | od -An -N4 -tx1 | tr -d ' \n')
    exec 4<&- 4>&-
    case $answer in
        1234??83) refused "unlisted.example, asked of 8.8.8.8 by UDP" unlisted.example ;;
        '') wrong "8.8.8.8:53 by UDP: no answer at all" ;;
        *) wrong "8.8.8.8:53 by UDP answered $answer" ;;
    esac
fi
if exec 4<>/dev/udp/8.8.8.8/9999; then
    { printf 'secret' >&4; } 2>/dev/null
    exec 4<&- 4>&-
fi
refused "8.8.8.8:9999, a UDP datagram" 8.8.8.8

echo "What is not visible or not writable:"
if ls ~/.ssh >/dev/null 2>&1; then wrong "~/.ssh can be read"; else say refused "$HOME/.ssh: not there"; fi
if cat /etc/shadow >/dev/null 2>&1; then wrong "/etc/shadow can be read"; else say refused "/etc/shadow: not there"; fi
if (: > /usr/claw-was-here) 2>/dev/null; then
    rm -f /usr/claw-was-here
    wrong "/usr can be written"
else
    say refused "/usr: read-only"
fi
others=0
for process in /proc/[0-9]*; do [ -d "$process" ] && others=$((others + 1)); done
if [ "$others" -le 8 ]; then say refused "processes of the host: $others are seen, all of them inside"; else wrong "$others processes are seen"; fi

[ "$failed" = 0 ] && echo "All as it should be." || echo "Something is not as it should be: see WRONG above."
exit "$failed"
