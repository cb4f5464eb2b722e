//! Secrets are masked before anything splits, quotes or complains.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Pushgateway, Sandbox};

/// Passwords with everything that separates something.
const PASSWORDS: [&str; 6] = ["hzqx,vkjw", "hzqx vkjw", "hzqx/vkjw", "hzqx#vkjw", "hzqx@vkjw", "hzqx,http://vkjw"];

/// What must not be seen of any of them.
const PARTS: [&str; 2] = ["hzqx", "vkjw"];

#[track_caller]
fn assert_masked(said: &str, what: &str) {
    assert!(PARTS.iter().all(|part| !said.contains(part)), "{what}: {said}");
}

#[test]
fn no_part_of_a_password_is_said_wherever_it_comes_from() {
    for password in PASSWORDS {
        // A scheme that is wrong, a port that is wrong, one gateway of several, a separator before and after.
        for address in [
            format!("htp://u:{password}@gw"),
            format!("http://u:{password}@gw:x"),
            format!("http://a:1, http://u:{password}@gw, b:2"),
        ] {
            let sandbox = Sandbox::new();
            let file = sandbox.write("home/.config/jobmon/config.toml", format!("gateways = [\"{address}\"]\n"));
            std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
            let all = |words: &[&str]| {
                let ran = sandbox.jobmon(words).any_ending().any_stdout().any_stderr().run();
                assert_masked(&(ran.stdout() + &ran.stderr()), &format!("{words:?} {address}"));
            };
            all(&["run", "--push-timeout=1ms", "-vv", "--", "true"]);
            all(&["doctor", "--timeout", "1ms"]);
            let ran = sandbox.jobmon(["config"]).env("JOBMON_GATEWAY", &address).any_ending().any_stdout().any_stderr();
            let ran = ran.run();
            assert_masked(&(ran.stdout() + &ran.stderr()), &format!("JOBMON_GATEWAY={address}"));
            let typed = sandbox.jobmon(["config", "-g", &address]).any_ending().any_stdout().any_stderr().run();
            assert_masked(&(typed.stdout() + &typed.stderr()), &format!("-g {address}"));
            all(&["doctor", &address]);
        }
    }
}

#[test]
fn a_damaged_file_with_a_secret_is_not_quoted() {
    for damage in [
        "bearer-token = hzqx vkjw\n",
        "bearer-token = \"hzqx\nvkjw\"\n",
        "bearer-token = \"\\qhzqxvkjw\"\n",
        "bearer-token = [\"hzqxvkjw\", [1]]\n",
        "basic-auth-user = \"u\"\nbasic-auth-password = { x = \"hzqxvkjw\" }\n",
        "headers = [\"hzqxvkjw\"]\n",
        "headers = { \"a b\" = \"hzqxvkjw\" }\n",
        "[headers]\nX-Key = 'hzqxvkjw\n",
        "bearer-tokn = \"hzqxvkjw\"\n",
    ] {
        let sandbox = Sandbox::new();
        let file = sandbox.write("home/.config/jobmon/config.toml", damage);
        std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
        let ran = sandbox.jobmon(["config"]).any_ending().any_stdout().any_stderr().run();
        assert_masked(&(ran.stdout() + &ran.stderr()), damage);
        assert!(ran.stderr().starts_with("jobmon: warning: "), "{damage}: {}", ran.stderr());
    }
}

/// The whole password arrives, and the job does not get it.
#[test]
fn a_password_with_separators_in_a_variable_is_one_password() {
    let gateway = Pushgateway::start();
    let sandbox = Sandbox::new();
    let bare = gateway.url().replace("http://", "");
    for list in [format!("http://u:p,w d@{bare}"), format!("http://127.0.0.1:1,http://u:p,w@{bare}")] {
        let words = ["run", "-n", "x", "--spread=all", "--", "sh", "-c", "echo ${JOBMON_GATEWAY-none}"];
        sandbox.jobmon(words).env("JOBMON_GATEWAY", list).stdout("none\n").any_stderr().run();
    }
    assert_eq!(gateway.keys().len(), 1, "{:?}", gateway.keys());
}
