#!/bin/bash
# The recipe that crontabs are full of, at its best: no process is started that bash can do without.
#
#     push.bash GATEWAY-URL NAME COMMAND [ARGUMENT]...
gateway=$1 name=$2
shift 2

start=$EPOCHREALTIME
"$@"
code=$?
end=$EPOCHREALTIME

microseconds=$((${end/./} - ${start/./}))
printf -v duration '%d.%06d' $((microseconds / 1000000)) $((microseconds % 1000000))
curl --silent --show-error --fail --max-time 30 --data-binary @- \
    "$gateway/metrics/job/script_monitor/instance/$HOSTNAME/script_name/$name" <<EOF
# TYPE script_start_timestamp_seconds gauge
script_start_timestamp_seconds $start
# TYPE script_end_timestamp_seconds gauge
script_end_timestamp_seconds $end
# TYPE script_duration_seconds gauge
script_duration_seconds $duration
# TYPE script_exit_code gauge
script_exit_code $code
# TYPE script_result gauge
script_result $((code == 0))
EOF
exit $code
