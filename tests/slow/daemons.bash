#!/bin/bash
# Runs inside of the container, as a service: three daemons, one after the other, run the same crontabs as they were and
# wrapped, at the same minute. What they left is in /share, by the name of the daemon. Ends with the machine.
exec >/share/chapter.log 2>&1
set -x
cd /share || exit
export DEBIAN_FRONTEND=noninteractive

# Waits for a condition, two minutes at most.
eventually() {
  { set +x; } 2>/dev/null
  local result=1
  for _ in {1..1200}; do "$@" && result=0 && break; read -r -t 0.1 <> <(:); done
  [ $result = 0 ] || echo "waited in vain for $*"
  set -x
}

# Each mail in a file with the name of its recipient.
cat > /usr/sbin/sendmail <<'END'
#!/bin/bash
directory=/share/mail/$(cat /run/daemon)
part=$(mktemp "$directory/part.XXXXXX")
cat > "$part"
to=$(sed -n 's/^To: //p' "$part" | head -n 1)
mv "$part" "$directory/$to.$$"
END
chmod 755 /usr/sbin/sendmail
rm -f /etc/crontab /etc/cron.d/*

# Which daemon's turn it is; mail may come from any user.
begin() {
  echo "$1" > /run/daemon
  mkdir -p "mail/$1"
  chmod 1777 "mail/$1"
}
# Early enough in a minute to start a daemon before the next.
early() { eventually eval '(( 10#$(date +%S) < 45 ))'; }
# The crontabs of the system, half of them wrapped as an administrator would.
system_crontabs() {
  install -m 644 "crontabs/$1"/wrapped-* /etc/cron.d
  ./jobmon cron wrap /etc/cron.d/wrapped-* --apply > "results/$1-plan" 2>&1
  cp -r /etc/cron.d "results/$1-wrapped"
  install -m 644 "crontabs/$1"/plain-* /etc/cron.d
}
has_no_children() { [ -z "$(cat "/proc/$1/task/$1/children")" ]; }

# What each parser makes of single lines, one file each: the names of those that it takes. That of systemd-cron does not come
# back from a step of 0.
check() { # NAME COMMAND...
  for file in lines/*; do timeout 2 "${@:2}" "$file" > /dev/null 2>&1 && echo "${file##*/}"; done > "results/$1-accepts"
}

begin cronie
systemctl stop cronie
system_crontabs cronie
jobs=$(cat /etc/cron.d/* | grep -c '^\*')
early
systemctl start cronie
cronie=$(systemctl show --value -p MainPID cronie)
# By name: the journal may not know the unit of a process that has ended meanwhile.
cronie_log() { journalctl -t CROND -t crond -o cat; }
have_started() { [ "$(cronie_log | grep -c ' CMD (')" = "$jobs" ]; }
eventually have_started
./jobmon cron scan --format json > results/cronie-scan 2>&1
rm /etc/cron.d/*
eventually has_no_children "$cronie"
cronie_log > results/cronie.log
check cronie crontab -T
systemctl stop cronie

begin busybox
mkdir -m 755 /run/spool
./jobmon cron wrap - --daemon busybox < crontabs/busybox/wrapped > results/busybox-wrapped 2> results/busybox-plan
cat crontabs/busybox/plain results/busybox-wrapped > /run/spool/root
early
busybox crond -f -l 0 -L /share/results/busybox.log -c /run/spool &
busybox=$!
started() { [ "$(grep -c ' cmd ' results/busybox.log)" = "$(grep -c '^\*' /run/spool/root)" ]; }
eventually started
rm /run/spool/root
echo root > /run/spool/cron.update
eventually has_no_children $busybox
kill $busybox

begin systemd-cron
apt-get install -q -y --no-download --no-install-recommends systemd-cron
rm -f /etc/crontab /etc/anacrontab /etc/cron.d/* /etc/cron.daily/*
systemctl stop cron.target cron-update.path
system_crontabs systemd-cron
jobs=$(cat /etc/cron.d/* | grep -c '^\*')
# A timer may be a minute late by default.
mkdir -p /run/systemd/system/timer.d
printf '[Timer]\nAccuracySec=1s\n' > /run/systemd/system/timer.d/accuracy.conf
early
systemctl daemon-reload
systemctl start cron.target
units() { (cd /run/systemd/generator && echo cron-{plain,wrapped}-*."$1"); }
# A service that succeeded is forgotten at once; its timer is not.
all_started() { [ "$(systemctl show $(units timer) -p LastTriggerUSecMonotonic | grep -c '=[1-9]')" = "$jobs" ]; }
are_over() { ! systemctl list-units --no-legend --state=activating,active "$@" | grep -q .; }
eventually all_started
systemctl stop $(units timer)
eventually are_over $(units service)
eventually are_over 'cron-mail@*'
./jobmon cron scan --format json > results/systemd-cron-scan 2>&1
systemctl show $(units service) -p Id,Result,ExecMainCode,ExecMainStatus > results/systemd-cron.log
check systemd-cron crontab -T

journalctl -b --no-pager > journal.log
cp -r /var/lib/jobmon results/state
touch finished
systemctl poweroff
