#!/bin/bash
# Runs inside of the container, as a service: starts jobs by systemd and cron, with and without jobmon, and leaves what it
# saw in /share/results, one file for each question. Ends with the machine.
exec >/share/chapter.log 2>&1
set -x
cd /share/results || exit

# Writes a unit and loads it.
unit() { # NAME.service < text
  cat > "/run/systemd/system/$1"
  systemctl daemon-reload
}

# Waits for a condition, a minute at most.
eventually() {
  for _ in {1..600}; do "$@" && return; read -r -t 0.1 <> <(:); done
  echo "waited in vain for $*"
}

shows() { systemctl show --value -p "$2" "$1" | tr '\n' ' '; }
sleeps() { grep -qsx sleep /proc/[0-9]*/comm; }
is_over() { [[ $(shows "$1" ActiveState) =~ ^(inactive|failed) ]]; }

for way in direct jobmon; do
  run=''
  [ $way = jobmon ] && run='/share/jobmon run --'

  for code in 0 3; do
    unit oneshot-$way-$code.service <<END
[Service]
Type=oneshot
ExecStart=$run /bin/sh -c 'exit $code'
END
    systemctl start oneshot-$way-$code
    echo "$? $(shows oneshot-$way-$code ActiveState) $(shows oneshot-$way-$code Result) $(shows oneshot-$way-$code ExecMainStatus)" > oneshot-$code.$way
  done

  unit notify-$way.service <<END
[Service]
Type=notify
NotifyAccess=all
TimeoutStartSec=30
ExecStart=$run /share/notify.pl
END
  systemctl start notify-$way
  echo "$? $(shows notify-$way ActiveState) $(shows notify-$way StatusText)" > notify.$way
  systemctl stop notify-$way
  echo "$(shows notify-$way ActiveState) $(shows notify-$way Result)" >> notify.$way

  unit socket-$way.socket <<END
[Socket]
ListenStream=/run/socket-$way
END
  unit socket-$way.service <<END
[Service]
Type=oneshot
ExecStart=$run /share/socket.bash /share/results/socket.$way
END
  systemctl start socket-$way.socket
  systemctl start socket-$way.service

  # With the default KillMode: a plain job, which dies of SIGTERM.
  unit plain-$way.service <<END
[Service]
ExecStart=$run /bin/sleep 1000
END
  systemctl start plain-$way
  eventually sleeps
  systemctl stop plain-$way
  echo "$(shows plain-$way ActiveState) $(shows plain-$way Result)" > plain.$way

  # With the KillMode that jobmon's manual recommends: a job that counts.
  unit mixed-$way.service <<END
[Service]
KillMode=mixed
ExecStart=$run /share/counts.pl TERM /share/results/mixed.$way
END
  systemctl start mixed-$way
  eventually test -e mixed.$way
  systemctl stop mixed-$way
  echo "$(shows mixed-$way ActiveState) $(shows mixed-$way Result)" >> mixed.$way

  # With the default KillMode: the same, twenty times. Perl without its queue of signals runs the handler at each delivery.
  unit group-$way@.service <<END
[Service]
Environment=PERL_SIGNALS=unsafe
ExecStart=$run /share/counts.pl TERM /share/results/group-%i.$way
END
  systemctl start group-$way@{1..20}
  for i in {1..20}; do eventually test -e group-$i.$way; done
  systemctl stop group-$way@{1..20}
  for i in {1..20}; do shows group-$way@$i Result >> group-$i.$way; done

  unit watchdog-$way.service <<END
[Service]
KillMode=mixed
WatchdogSec=2
ExecStart=$run /share/counts.pl ABRT /share/results/watchdog.$way
END
  systemctl start watchdog-$way
  eventually is_over watchdog-$way
  shows watchdog-$way Result >> watchdog.$way

  unit restart-$way.service <<END
[Service]
Restart=on-failure
RestartSec=100ms
ExecStart=$run /bin/bash -c 'echo once >> /share/results/restart.$way; kill -TERM \$\$\$\$'
END
  systemctl start restart-$way
  eventually is_over restart-$way
  echo "$(shows restart-$way NRestarts) $(shows restart-$way Result)" >> restart.$way

  unit signals-$way.service <<END
[Service]
Type=oneshot
ExecStart=$run /bin/sh -c 'grep ^Sig[BIC] /proc/self/status > /share/results/signals.$way'
END
  systemctl start signals-$way

  unit variables-$way.service <<END
[Service]
Type=oneshot
ExecStart=$run /bin/bash -c '[ \$SYSTEMD_EXEC_PID = \$\$\$\$ ]; echo \$? > /share/results/variables.$way; [ "\$(stat -L -c %%d:%%i /proc/self/fd/2)" = "\$JOURNAL_STREAM" ]; echo \$? >> /share/results/variables.$way'
END
  systemctl start variables-$way
done

# Services without a wrapper, whose ends are recorded.
record='ExecStopPost=-/share/jobmon record --systemd'
recorded() { # NAME < lines of [Service]
  { echo '[Service]'; cat; echo "$record"; } | unit "record-$1.service"
}
recorded success <<< $'Type=oneshot\nExecStart=/bin/sleep 0.3'
recorded failure <<< $'Type=oneshot\nExecStart=/bin/sh -c "exit 3"'
recorded signal <<< $'Type=oneshot\nExecStart=/bin/sh -c "kill -9 $$$$"'
recorded timeout <<< $'Type=oneshot\nTimeoutStartSec=1\nExecStart=/bin/sleep 1000'
recorded accepted <<< $'Type=oneshot\nSuccessExitStatus=5\nExecStart=/bin/sh -c "exit 5"'
# Nothing but memory is short here, where the kernel lets this systemd limit it.
cat /sys/fs/cgroup/cgroup.controllers > controllers
recorded oom <<< $'Type=oneshot\nMemoryMax=30M\nMemorySwapMax=0\nExecStart=/usr/bin/perl -e "print length(q(x) x 300_000_000)"'
# A user of his own, who has no place for a registry.
recorded user <<< $'Type=oneshot\nUser=nobody\nExecStart=/bin/sleep 0.3\nStateDirectory=recorded\nEnvironment=JOBMON_STATE_DIR=/var/lib/recorded'
recorded missing <<< $'Type=oneshot\nExecStart=/no/such/program'
recorded restart <<< $'Type=exec\nRestart=on-failure\nRestartSec=100ms\nExecStart=/bin/bash -c "[ -e /run/second ] || { touch /run/second; exit 4; }"'
{ printf '[Unit]\nConditionPathExists=/nonexistent\n[Service]\nType=oneshot\nExecStart=/bin/true\n'; echo "$record"; } | unit record-condition.service
for name in success failure signal timeout accepted missing oom user condition restart; do
  systemctl start record-$name
done
{ printf '[Timer]\nOnActiveSec=100ms\nAccuracySec=1ms\n'; } | unit record-timed.timer
recorded timed <<< $'Type=oneshot\nExecStart=/bin/true'
systemctl start record-timed.timer
has_run() { /share/jobmon history --limit 0 -n "$1" 2>/dev/null | grep -q success; }
eventually has_run record-restart
eventually has_run record-timed
for name in success failure signal timeout accepted missing; do
  echo "$(shows record-$name Result)"
done > recorded
unit dropped.service <<< $'[Service]\nType=oneshot\nExecStart=/bin/true'
unit dropped.timer <<< $'[Timer]\nOnCalendar=*-*-* 04:05:00\nRandomizedDelaySec=10min'
systemctl start dropped.timer
/share/jobmon cron wrap --systemd dropped --apply > drop-in
systemctl start dropped.service
# What a service may not do, its record may.
unit hardened.service <<< $'[Service]\nType=oneshot\nUser=nobody\nProtectSystem=strict\nProtectHome=yes\nPrivateNetwork=yes\nExecStart=/bin/sh -c "exit 6"'
/share/jobmon cron wrap --systemd hardened --apply
systemctl start hardened.service
# A user's manager with a timer of its own.
useradd --create-home --uid 4711 alice
mkdir -p ~alice/.config/systemd/user
printf '[Timer]\nOnCalendar=*-*-* 05:06:00\n' > ~alice/.config/systemd/user/tidy.timer
printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' > ~alice/.config/systemd/user/tidy.service
chown -R alice: ~alice
systemctl start user@4711.service
as_alice() { setpriv --reuid=alice --regid=alice --clear-groups env -u JOBMON_STATE_DIR HOME=/home/alice XDG_RUNTIME_DIR=/run/user/4711 "$@"; }
as_alice systemctl --user start tidy.timer
as_alice /share/jobmon cron wrap --systemd tidy --apply > drop-in-of-alice
as_alice systemctl --user start tidy.service
as_alice /share/jobmon history > history-of-alice
as_alice /share/jobmon cron scan > scan-of-alice
/share/jobmon cron scan > scan

# What jobmon keeps of all this.
cp -r /var/lib/jobmon state
cp -r /var/lib/recorded state-of-user

# cron: the mail of each line goes to a file of its own.
cat > /usr/sbin/sendmail <<'END'
#!/bin/bash
cat > "/share/mail/$$.part" && mv "/share/mail/$$.part" "/share/mail/$$"
END
chmod 755 /usr/sbin/sendmail
cat > /etc/cron.d/chapter <<END
MAILTO=root
JOBMON_PUSH_TIMEOUT=10s
* * * * * root /share/jobmon run --name quiet -- true; echo \$? > /share/results/cron-quiet
* * * * * root /share/jobmon run --name loud -- echo job output
* * * * * root echo direct output
* * * * * root /share/jobmon run --name refused --gateway $(cat /share/gateway) -- true
* * * * * root /share/jobmon run --name refused_closed --gateway $(cat /share/gateway) -- sh -c 'exec >&- 2>&-; exit 0'
END
mailed() { for text in 'job output' 'direct output' 'run --name refused ' 'run --name refused_closed '; do grep -qs "$text" /share/mail/* || return; done; }
systemctl is-active cron > cron-active
for _ in {1..4}; do mailed || eventually mailed; done
eventually test -e cron-quiet
rm /etc/cron.d/chapter
# Whatever is late would be mailed by one of these.
cron=$(shows cron MainPID)
is_idle() { [ -z "$(cat "/proc/$1/task/$1/children")" ]; }
eventually is_idle "${cron% }"

systemctl --failed --plain --no-legend > failed
journalctl -b --no-pager > /share/journal.log
touch /share/finished
systemctl poweroff
