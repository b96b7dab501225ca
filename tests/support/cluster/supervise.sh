#!/bin/sh
# Runs a command again whenever it ends, as kubelet does with a container. Sidecars end when their driver does.
while :; do
    "$@"
    echo "supervise: $1 ended with $?"
    sleep 1
done
