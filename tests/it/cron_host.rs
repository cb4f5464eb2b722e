//! `jobmon cron` on a whole machine: every crontab, users' by crontab(1), packages' configuration, jobmon-sh, and what a
//! daemon ignores.

use crate::cron_machine::Machine;
use crate::harness::{PATIENCE, Pushgateway, eventually, repository};

/// `jobmon` on the machine, with what it is to print.
fn check(machine: &Machine, script: &str, stdout: &str, stderr: &str, code: i32) {
    machine.script(&format!("set +e\n{script}")).stdout(stdout).stderr(stderr).code(code).run();
}

/// Crontabs with every fault that keeps a job from running, and some that run.
const CRONTABS: &str = r#"
cron -L 0
until pgrep -x cron >/dev/null; do sleep 0.1; done
printf '17 * * * * root cd / && run-parts --report /etc/cron.hourly\n' > /etc/crontab
touch /etc/cron.hourly/good /etc/cron.hourly/bad.sh /etc/cron.hourly/plain /etc/cron.hourly/.placeholder
chmod 755 /etc/cron.hourly/good /etc/cron.hourly/bad.sh
printf '0 1 * * * root /usr/local/bin/report\n' > /etc/cron.d/good
printf '0 1 * * * root chronic sync\n' > /etc/cron.d/watched
printf '0 2 * * * root dotted\n' > /etc/cron.d/dotted.conf
printf '0 3 * * * root writable\n' > /etc/cron.d/writable; chmod 664 /etc/cron.d/writable
printf '0 4 * * * root owned\n' > /etc/cron.d/owned; chown alice /etc/cron.d/owned
printf '0 5 * * * root fine\n0 5 * * root oops\n' > /etc/cron.d/oops
printf '0 6 * * * root cut' > /etc/cron.d/cut
printf '0 7 * * * nobody-such other\n' > /etc/cron.d/user
printf '50-10 * * * * root backwards\nSHELL=/no/zsh\n0 8 * * * root shell\n' > /etc/cron.d/shell
printf '0 9 * * * root windows\r\n' > /etc/cron.d/windows
printf '30 2 * * 1 /home/alice/backup.sh\n' | crontab -u alice -
"#;

#[test]
fn a_scan_says_of_every_job_whether_it_will_run() {
    let machine = Machine::new();
    let script = format!("{CRONTABS}$JOBMON cron scan | sed -E 's/ in [0-9]+[smhd] / in N /' | tr -s ' '");
    let expected = "\
NAME USER SCHEDULE NEXT WHERE STATE
cron.hourly root 17 * * * * in N /etc/crontab:1 not watched
bad.sh root 17 * * * * - /etc/cron.hourly/bad.sh will not run: run-parts ignores files whose name has a dot
good root 17 * * * * in N /etc/cron.hourly/good not watched
plain root 17 * * * * - /etc/cron.hourly/plain will not run: not executable: chmod +x
- - - - /etc/cron.d/cut:1 will not run: the last line has no line feed
dotted root 0 2 * * * - /etc/cron.d/dotted.conf:1 will not run: Debian's cron ignores files whose name has a dot
report root 0 1 * * * in N /etc/cron.d/good:1 not watched
fine root 0 5 * * * - /etc/cron.d/oops:1 will not run: Debian's cron drops the whole file because of line 2: bad day of week
- - - - /etc/cron.d/oops:2 will not run: bad day of week
owned root 0 4 * * * - /etc/cron.d/owned:1 will not run: belongs to user 4711: Debian's cron wants root's
backwards root 50-10 * * * * - /etc/cron.d/shell:1 will not run: its time never comes: minute allows no value
shell root 0 8 * * * - /etc/cron.d/shell:3 will not run: SHELL=/no/zsh does not exist
other nobody-such 0 7 * * * - /etc/cron.d/user:1 will not run: no user \"nobody-such\", for which Debian's cron drops the whole file
sync root 0 1 * * * in N /etc/cron.d/watched:1 watched by chronic
windows root 0 9 * * * - /etc/cron.d/windows:1 will not run: ends with a carriage return, which the shell takes for a part of the command
writable root 0 3 * * * - /etc/cron.d/writable:1 will not run: mode 664: Debian's cron ignores files that others may write to: chmod 644
backup alice 30 2 * * 1 in N crontab of alice:1 not watched
";
    check(&machine, &script, expected, "", 0);
}

#[test]
fn a_check_fails_where_something_will_not_run() {
    let machine = Machine::new();
    let script = "cron -L 0; until pgrep -x cron >/dev/null; do sleep 0.1; done\n\
                  printf '0 1 * * * root good\\n' > /etc/cron.d/good; $JOBMON cron scan --check; echo $?\n\
                  printf '0 1 * * * root bad\\n' > /etc/cron.d/a.b; $JOBMON cron scan --check | tr -s ' '; echo ${PIPESTATUS[0]}\n\
                  rm /etc/cron.d/a.b; kill $(pgrep -x cron); while pgrep -x cron >/dev/null; do sleep 0.1; done\n\
                  $JOBMON cron scan --check";
    let expected = "0\nNAME USER SCHEDULE NEXT WHERE STATE\nbad root 0 1 * * * - /etc/cron.d/a.b:1 will not run: Debian's cron \
                    ignores files whose name has a dot\n1\n";
    check(&machine, script, expected, "jobmon: error: Debian's cron does not run, so no crontab does\n", 1);
}

#[test]
fn a_scan_shows_the_last_result_and_is_data_too() {
    let machine = Machine::new();
    let script = "cron -L 0; until pgrep -x cron >/dev/null; do sleep 0.1; done\n\
                  printf '0 1 * * * root exit 3 # jobmon: job\\n' > /etc/cron.d/good\n\
                  $JOBMON cron wrap /etc/cron.d/good --apply >/dev/null\n\
                  sh -c \"$(cut -d' ' -f7- /etc/cron.d/good)\"; echo $?\n\
                  sed -i 's/^0 1/0 2/' /etc/cron.d/good; $JOBMON cron scan --format json";
    let output = machine.script(&format!("set +e\n{script}")).any_stdout().run().stdout();
    let (exit, json) = output.split_once('\n').unwrap();
    assert_eq!(exit, "3");
    let mut scan: serde_json::Value = serde_json::from_str(json).unwrap();
    let job = &mut scan["jobs"][0];
    assert!(job["next"].take().as_str().unwrap().ends_with("T02:00:00Z"), "{job}");
    assert!(job["last"]["ended_at"].take().is_string(), "{job}");
    let expected = serde_json::json!({
        "daemon": { "name": "debian", "running": true },
        "jobs": [{
            "name": "job", "user": "root", "schedule": "0 2 * * *", "next": null, "where": "/etc/cron.d/good", "line": 1,
            "command": "exit 3 # jobmon: job", "state": "watched", "tool": "jobmon", "reason": null, "schedule_outdated": true,
            "last": { "result": "failure", "exit_code": 3, "ended_at": null },
        }],
    });
    assert_eq!(scan, expected);
}

#[test]
fn all_crontabs_of_a_machine_are_wrapped_and_unwrapped() {
    let machine = Machine::new();
    let jobmon = machine.sandbox.path("jobmon");
    let jobmon = jobmon.display();
    let script = "printf '0 1 * * * root /a/clean\\n' > /etc/cron.d/one; printf '0 2 * * * alice /a/clean\\n' > /etc/cron.d/two\n\
                  printf '0 3 * * * /a/backup x\\n' | crontab -u alice -\n\
                  printf '0 4 * * * root /a/packaged\\n' > /etc/cron.d/packaged\n\
                  printf 'Package: pack\\nStatus: install ok installed\\nConffiles:\\n /etc/cron.d/packaged 0\\n' > /var/lib/dpkg/status\n\
                  cp -r /etc/cron.d $BOX/before; crontab -l -u alice > $BOX/before/alice\n\
                  $JOBMON cron wrap --all --apply | sed 's/; backup in .*//'; cat /etc/cron.d/*; crontab -l -u alice\n\
                  ls -A /etc/cron.d /var/spool/cron/crontabs; stat -c '%U:%G %a' /var/spool/cron/crontabs/alice\n\
                  $JOBMON cron unwrap --all --check; $JOBMON cron unwrap --all --apply > /dev/null\n\
                  crontab -l -u alice | cmp - $BOX/before/alice; rm $BOX/before/alice; diff -r /etc/cron.d $BOX/before && echo same";
    let expected = format!(
        "/etc/cron.d/one\n  clean-one ← /a/clean\n\
         /etc/cron.d/packaged\n  left as it is: configuration file of package pack: name it to change it; dpkg then asks what to do \
         with it when a new version of the package brings a new one\n\
         /etc/cron.d/two\n  clean-two ← /a/clean\ncrontab of alice\n  backup ← /a/backup x\n\
         /etc/cron.d/one: 1 job wrapped\n/etc/cron.d/two: 1 job wrapped\ncrontab of alice: 1 job wrapped\n\
         0 1 * * * root exec {jobmon} run -n clean-one --schedule '0 1 * * *' -- /bin/sh -c '/a/clean'\n\
         0 4 * * * root /a/packaged\n\
         0 2 * * * alice exec {jobmon} run -n clean-two --schedule '0 2 * * *' -- /bin/sh -c '/a/clean'\n\
         0 3 * * * exec {jobmon} run -n backup --schedule '0 3 * * *' -- /bin/sh -c '/a/backup x'\n\
         /etc/cron.d:\none\npackaged\ntwo\n\n/var/spool/cron/crontabs:\nalice\nalice:crontab 600\n\
         /etc/cron.d/one: 1 wrapped job\n/etc/cron.d/two: 1 wrapped job\ncrontab of alice: 1 wrapped job\nsame\n"
    );
    check(&machine, script, &expected, "", 0);
}

#[test]
fn jobs_of_anacron_are_listed_and_left_as_they_are() {
    let machine = Machine::new();
    let script = "printf 'SHELL=/bin/sh\\n1\\t5\\tcron.daily\\trun-parts /etc/cron.daily\\n@monthly 9 month jobmon run -n m -- a\\n' > /etc/anacrontab\n\
                  printf '#!/bin/sh\\n' > /usr/sbin/anacron; chmod 755 /usr/sbin/anacron; cp /etc/anacrontab $BOX\n\
                  $JOBMON cron scan 2>/dev/null | tr -s ' '; $JOBMON cron scan /etc/anacrontab | tr -s ' '\n\
                  $JOBMON cron wrap --all --apply; $JOBMON cron wrap /etc/anacrontab --apply; cmp /etc/anacrontab $BOX/anacrontab";
    let scan = "NAME USER SCHEDULE NEXT WHERE STATE\ncron.daily root every day - /etc/anacrontab:2 not watched\n\
                month root @monthly - /etc/anacrontab:3 jobmon: no run yet\n";
    let plan = "/etc/anacrontab\n  left as it is: lines of anacron have no schedule to expect a job by: write \"jobmon run -n NAME \
                --expect-every 1d --\" in front of a command by hand\n";
    check(&machine, script, &[scan, scan, plan, plan].concat(), "", 0);
}

#[test]
fn a_path_that_a_jobs_user_cannot_run_is_refused() {
    let machine = Machine::new();
    let script = "mkdir -m 700 $BOX/closed; cp $JOBMON $BOX/closed/jobmon\n\
                  printf '0 1 * * * alice /a/b\\n' > /etc/cron.d/one; $BOX/closed/jobmon cron wrap --all --apply; echo $?\n\
                  $JOBMON cron wrap --all --apply --jobmon /nonexistent/jobmon; echo $?; cat /etc/cron.d/one";
    let closed = machine.sandbox.path("closed");
    let stderr = format!(
        "jobmon: {closed}/jobmon cannot be run by alice, because {closed} is closed to others: install jobmon elsewhere, or \
         name another path with --jobmon\njobmon: /nonexistent/jobmon: No such file or directory (os error 2): name another \
         path with --jobmon\n",
        closed = closed.display()
    );
    check(&machine, script, "125\n125\n0 1 * * * alice /a/b\n", &stderr, 0);
}

#[test]
fn an_upgrade_of_a_package_keeps_a_wrapped_line() {
    let machine = Machine::new();
    let build = "build() { # VERSION CRONTAB\n\
                 rm -rf $BOX/p; mkdir -p $BOX/p/DEBIAN $BOX/p/etc/cron.d; printf '%s\\n' \"$2\" > $BOX/p/etc/cron.d/pack\n\
                 printf 'Package: pack\\nVersion: %s\\nArchitecture: all\\nMaintainer: x <x@example.org>\\nDescription: x\\n' $1 > \
                 $BOX/p/DEBIAN/control; echo /etc/cron.d/pack > $BOX/p/DEBIAN/conffiles; dpkg-deb -b $BOX/p $BOX/$1.deb >/dev/null; }\n\
                 add() { dpkg --force-not-root --force-confold -i $BOX/$1.deb >/dev/null 2>$BOX/dpkg.log || cat $BOX/dpkg.log; }\n\
                 mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates\n";
    let script = "build 1 '0 1 * * * root /a/b'; build 2 '0 1 * * * root /a/b'; build 3 '0 2 * * * root /a/b'\n\
                  add 1; $JOBMON cron wrap /etc/cron.d/pack --apply | sed -n 2p; cp /etc/cron.d/pack $BOX/wrapped\n\
                  add 2; cmp /etc/cron.d/pack $BOX/wrapped; add 3; cmp /etc/cron.d/pack $BOX/wrapped; ls /etc/cron.d\n\
                  $JOBMON cron unwrap /etc/cron.d/pack --apply >/dev/null; cat /etc/cron.d/pack";
    let expected = "  configuration file of package pack: dpkg asks what to do with it when a new version brings a new one\n\
                    pack\npack.dpkg-dist\n0 1 * * * root /a/b\n";
    check(&machine, &format!("{build}{script}"), expected, "", 0);
}

#[test]
fn jobmon_sh_is_the_shell_with_jobmon_in_front() {
    let machine = Machine::new();
    let script = "sh=$BOX/jobmon-sh\n\
                  JOBMON_NAME=job JOBMON_SHELL=/bin/bash JOBMON_SCHEDULE='0 1 * * *' $sh -c 'echo $0 $SHELL; env | grep JOBMON_; exit 5'; echo $?\n\
                  JOBMON_NAME=guarded $sh -c 'test -d /nonexistent && echo no'; echo $?\n\
                  JOBMON_NAME=guarded $sh -c 'test -d / && echo yes'; echo $?\n\
                  JOBMON_NAME= $sh -c 'echo plain; exit 4'; echo $?\n\
                  echo 'echo from input' | $sh; printf 'echo script $1' > $BOX/s; $sh $BOX/s x\n\
                  JOBMON_SHELL=/no/shell JOBMON_NAME=x $sh -c true; echo $?\n\
                  JOBMON_NAME=killed $sh -c 'kill -9 $$'; echo $?\n\
                  $JOBMON status --format json";
    let output = machine.script(&format!("set +e\n{script}")).any_stdout().any_stderr().run().stdout();
    let (words, json) = output.split_at(output.find('{').unwrap());
    let expected = "/bin/bash /bin/bash\n5\n1\nyes\n0\nplain\n4\nfrom input\nscript x\n127\n137\n";
    assert_eq!(words, expected, "{output}");
    let status: serde_json::Value = serde_json::from_str(json).unwrap();
    let mut results: Vec<(String, String)> = status["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            let text = |value: &serde_json::Value| value.to_string().trim_matches('"').to_owned();
            (text(&group["labels"]["script_name"]), text(&group["last_run"]["exit_code"]))
        })
        .collect();
    results.sort();
    let expected = [("guarded", "0"), ("job", "5"), ("killed", "137"), ("x", "127")];
    assert_eq!(results, expected.map(|(name, code)| (name.to_owned(), code.to_owned())));
}

#[test]
fn scripts_of_a_directory_are_jobs_of_their_own() {
    let machine = Machine::new();
    let script = "mkdir $BOX/cron.daily; cd $BOX/cron.daily\n\
                  printf '#!/bin/sh\\necho output of b $1\\n' > b; printf '#!/bin/sh\\nexit 3\\n' > a; printf '#!/bin/sh\\necho no\\n' > c.sh\n\
                  printf '#!/bin/sh\\nkill -9 $$\\n' > d; printf '#!/bin/sh\\necho error >&2\\n' > e; printf 'no\\n' > f; chmod 755 a b c.sh d e\n\
                  run-parts --report -a x $BOX/cron.daily >$BOX/plain.out 2>$BOX/plain.err; echo $?\n\
                  $JOBMON cron run-parts --report -a x $BOX/cron.daily >$BOX/jobmon.out 2>$BOX/jobmon.err; echo $?\n\
                  cd $BOX; diff plain.out jobmon.out && diff plain.err jobmon.err && echo same; cat plain.out\n\
                  $JOBMON history --limit 0 | awk 'NR > 1 { print $2, $3 }' | sort";
    let directory = machine.sandbox.path("cron.daily");
    let expected = format!(
        "1\n1\nsame\n{}/b:\noutput of b x\ncron.daily-a failure\ncron.daily-b success\ncron.daily-d failure\ncron.daily-e success\n",
        directory.display()
    );
    check(&machine, script, &expected, "", 0);
}

#[test]
fn lines_of_jobs_stay_as_they_are_under_jobmon_sh() {
    let machine = Machine::new();
    let long = "x".repeat(900);
    let script = format!(
        "printf 'MAILTO=a\\n* * * * * root printf {long} > %s/long\\n* * * * * root test -d /no && echo; exit 6\\n' $BOX > /etc/cron.d/one\n\
         $JOBMON cron wrap /etc/cron.d/one | grep -c 'wrap the file with --keep-lines'\n\
         cp /etc/cron.d/one $BOX/before; $JOBMON cron wrap /etc/cron.d/one --keep-lines --apply >/dev/null; cut -c1-30 /etc/cron.d/one\n\
         faketime '2026-11-28 12:00:58' cron -f -L 15 &\n\
         until [ $($JOBMON history | grep -c -e success -e failure) = 2 ]; do sleep 0.1; done\n\
         $JOBMON history | awk 'NR > 1 {{ print $2, $3 }}' | sort; wc -c < $BOX/long\n\
         $JOBMON cron unwrap /etc/cron.d/one --apply >/dev/null; cmp /etc/cron.d/one $BOX/before"
    );
    let sh = machine.sandbox.path("jobmon-sh");
    let shell: String = format!("SHELL={}", sh.display()).chars().take(30).collect();
    let expected = format!(
        "1\nMAILTO=a\n{shell}\nJOBMON_SHELL=/bin/sh\nJOBMON_NAME=printf\nJOBMON_SCHEDULE=\"* * * * *\"\n\
         * * * * * root printf xxxxxxxx\nJOBMON_NAME=echo\nJOBMON_SCHEDULE=\"* * * * *\"\n* * * * * root test -d /no && \n\
         echo failure\nprintf success\n900\n"
    );
    machine.script(&format!("set +e\n{script}")).stdout(expected).any_stderr().run();
}

#[test]
fn a_line_with_a_fallback_runs_on_where_jobmon_was_removed() {
    let machine = Machine::new();
    let script = "mkdir $BOX/gone; cp $JOBMON $BOX/gone/jobmon\n\
                  printf '* * * * * root cat > %s/ran; exit 4%%from input\\n* * * * * root test -d / && echo x > %s/guarded\\n' $BOX $BOX > /etc/cron.d/one\n\
                  cp /etc/cron.d/one $BOX/before; $BOX/gone/jobmon cron wrap /etc/cron.d/one --fallback --apply >/dev/null; rm -r $BOX/gone\n\
                  grep -c gone/jobmon /etc/cron.d/one; faketime '2026-11-28 12:00:58' cron -f -L 15 &\n\
                  until [ -s $BOX/guarded ] && [ -s $BOX/ran ] && ! pgrep -x sh >/dev/null; do sleep 0.1; done; cat $BOX/ran $BOX/guarded\n\
                  $JOBMON cron unwrap /etc/cron.d/one --apply >/dev/null; cmp /etc/cron.d/one $BOX/before && echo as before";
    machine.script(&format!("set +e\n{script}")).stdout("2\nfrom input\nx\nas before\n").any_stderr().run();
    eventually(PATIENCE, "the end of the job in the log", || {
        machine.log().iter().any(|line| line.contains("failed with exit status 4")).then_some(())
    });
}

#[test]
fn an_own_crontab_needs_no_root() {
    let machine = Machine::new();
    let script = "chmod 755 $BOX; printf '0 3 * * * /a/backup x\\n' | crontab -u alice -\n\
                  as_alice() { setpriv --reuid=alice --regid=alice --clear-groups env -u XDG_STATE_HOME -u XDG_CONFIG_HOME HOME=/tmp/alice-$$ \"$@\"; }\n\
                  mkdir -m 700 /tmp/alice-$$; chown alice /tmp/alice-$$\n\
                  as_alice $JOBMON cron wrap --apply | sed 's/; backup in .*//'; crontab -l -u alice\n\
                  as_alice $JOBMON cron scan | tr -s ' ' | sed -E 's/ in [0-9]+[smhd] / in N /'\n\
                  as_alice $JOBMON cron restore --apply | sed -E 's/ on [^,]*,/ on N,/; s/; backup in .*//'; crontab -l -u alice\n\
                  rm -rf /tmp/alice-$$";
    let jobmon = machine.sandbox.path("jobmon");
    let expected = format!(
        "crontab of alice\n  backup ← /a/backup x\ncrontab of alice: 1 job wrapped\n\
         0 3 * * * exec {} run -n backup --schedule '0 3 * * *' -- /bin/sh -c '/a/backup x'\n\
         NAME USER SCHEDULE NEXT WHERE STATE\nbackup alice 0 3 * * * in N crontab of alice:1 jobmon: no run yet\n\
         crontab of alice: as it was on N, before \"wrap\"\ncrontab of alice: restored\n0 3 * * * /a/backup x\n",
        jobmon.display()
    );
    let stderr = "jobmon: error: Debian's cron does not run, so no crontab does\n";
    check(&machine, script, &expected, stderr, 0);
}

#[test]
fn a_service_is_recorded_by_a_drop_in() {
    let machine = Machine::new();
    let script = "wrap() { $JOBMON cron wrap --systemd backup --jobmon /usr/bin/jobmon \"$@\"; }\n\
                  file=/etc/systemd/system/backup.service.d/jobmon.conf\n\
                  wrap; ls $file 2>/dev/null; wrap --apply >/dev/null; cat $file; wrap --apply\n\
                  $JOBMON cron unwrap --systemd backup --apply; ls /etc/systemd/system/backup.service.d 2>/dev/null\n\
                  $JOBMON cron unwrap --systemd backup --apply; $JOBMON cron wrap --systemd a.timer; echo $?";
    let file = "# Written by \"jobmon cron wrap --systemd\"; \"jobmon cron unwrap --systemd UNIT\" removes it.\n[Service]\n\
                ExecStopPost=+-/usr/bin/jobmon record --systemd -n backup\n";
    let path = "/etc/systemd/system/backup.service.d/jobmon.conf";
    let plan: String = file.lines().map(|line| format!("+{line}\n")).collect();
    let expected = format!(
        "write {path}\n{plan}\nNothing was changed: add --apply.\n{file}nothing to do\nremove {path}\nnothing to do\n125\n"
    );
    check(&machine, script, &expected, "jobmon: --systemd \"a.timer\": not the name of a service\n", 0);
}

#[test]
fn three_lines_of_the_readme_lead_from_twenty_jobs_to_their_metrics() {
    let (machine, gateway) = (Machine::new(), Pushgateway::start());
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let (_, block) = readme.split_once("```shell\n").unwrap();
    let block = block.split_once("```").unwrap().0.replace("http://127.0.0.1:9091", &gateway.url());
    assert_eq!(block.lines().count(), 3);
    let script = format!(
        "export PATH=$BOX:$PATH\n\
         for i in $(seq 20); do echo \"* * * * * root /bin/sh -c 'exit $((i % 3))' # jobmon: job$i\"; done > /etc/cron.d/many\n\
         {block}\nprintf 'MAILTO=\"\"\\n' | cat - /etc/cron.d/many > $BOX/quiet; cat $BOX/quiet > /etc/cron.d/many\n\
         faketime '2026-11-28 12:00:58' cron -f &\n\
         until [ -e $BOX/stop ]; do sleep 0.1; done; grep -c ScriptFailed /etc/jobmon/rules.yml"
    );
    let running = machine.script(&script).any_stdout().any_stderr().spawn();
    eventually(PATIENCE, "twenty groups at the gateway", || (gateway.keys().len() == 20).then_some(()));
    machine.sandbox.write("stop", "");
    running.wait();
    let text = gateway.scrape().text();
    let failed = text.lines().filter(|line| line.starts_with("script_result{") && line.ends_with(" 0")).count();
    // Every third job ends with 0.
    assert_eq!(failed, 14, "{text}");
}
