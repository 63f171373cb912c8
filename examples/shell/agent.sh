#!/bin/sh
# An agent in shell: fetches a price, then tries what it may not. agent.sh PORT
port=$1
failed=0

fetch() { curl --silent --show-error --max-time 5 --cacert ca.pem "$@" 2>&1; }

must_fail() { # what, curl's arguments
    what=$1; shift
    if answer=$(fetch "$@"); then
        echo "WRONG    $what: reached"
        failed=1
    else
        echo "refused  $what: ${answer##*curl: }"
    fi
}

if answer=$(fetch "https://api.shop.test:$port/price") && [ "$answer" = "the price is 42" ]; then
    echo "ok       https://api.shop.test:$port/price: $answer"
else
    echo "WRONG    https://api.shop.test:$port/price: $answer"
    failed=1
fi
must_fail "another name" "https://evil.shop.test:$port/"
must_fail "the permitted server, asked in TLS for another name" \
    --connect-to "evil.shop.test:$port:api.shop.test:$port" "https://evil.shop.test:$port/"
must_fail "the permitted port without TLS" "http://api.shop.test:$port/"
must_fail "a port that no rule names" "https://api.shop.test:444/"
must_fail "a raw address" "https://192.0.2.10/"
must_fail "the host's own loopback" --insecure "https://127.0.0.1:$port/"
exit "$failed"
