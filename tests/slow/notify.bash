#!/bin/bash
# Says that it is ready, as a service of Type=notify does.
trap 'exit 0' TERM
systemd-notify --ready --status="ready by $([ "$NOTIFY_SOCKET" ] && echo socket)"
while :; do read -r -t 0.05 <> <(:); done
