#!/usr/bin/env bash
# beside.sh COMMAND COMMAND: both at once, since most of the second one's time is waiting. What the
# second says is seen as it comes, and then what the first has said. Fails when one of them does.
set -uo pipefail

said=$(mktemp)
bash -c "$1" >"$said" 2>&1 &
first=$!
trap 'rm -f "$said"' EXIT
trap 'kill "$first" 2>/dev/null; wait; exit 130' INT TERM

bash -c "$2"
second_status=$?
wait "$first"
first_status=$?

echo "at the same time: $1"
cat "$said"
exit $((second_status ? second_status : first_status))
