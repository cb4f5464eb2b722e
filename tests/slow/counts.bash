#!/bin/bash
# Writes down every delivery of signal $1 into the file $2; a while after the first it dies of it, as by default.
trap 'echo delivered >> "$2"; seen=1' "$1"
: > "$2"
until [ "$seen" ]; do read -r -t 0.02 <> <(:); done
for _ in {1..20}; do read -r -t 0.02 <> <(:); done
trap - "$1"
ulimit -c 0
kill -"$1" $$
