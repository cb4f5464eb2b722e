#!/bin/bash
# Clears every group of one job from a gateway, as the usual janitor script does: one GET, then one DELETE for each group.
#
#     clear.bash GATEWAY-URL JOB
gateway=$1 job=$2

curl --silent --show-error --fail "$gateway/metrics" |
    sed -n 's/^push_time_seconds{instance="\([^"]*\)",job="'"$job"'",script_name="\([^"]*\)"}.*/\1 \2/p' |
    while read -r instance name; do
        curl --silent --show-error --fail -X DELETE "$gateway/metrics/job/$job/instance/$instance/script_name/$name"
    done
