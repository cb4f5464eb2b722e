//! Proxies by the usual variables, and loopback never through one. The environment belongs to a process, so these run
//! the binary.

use crate::harness::faults::{self, Faults};
use crate::harness::{Pushgateway, Sandbox};

fn arguments(gateway: &str) -> [String; 7] {
    ["run", "--name", "x", "--gateway", gateway, "--", "true"].map(str::to_owned)
}

#[test]
fn loopback_never_goes_through_a_proxy() {
    let proxy = Faults::start(faults::answer("200 OK", &[], ""));
    for host in ["127.0.0.1", "localhost"] {
        let gateway = Pushgateway::start();
        let mut sandbox = Sandbox::new();
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            sandbox = sandbox.env(name, proxy.url());
        }
        sandbox.jobmon(arguments(&gateway.url().replace("127.0.0.1", host))).run();
        assert_eq!(gateway.keys().len(), 1, "{host}");
        assert_eq!(proxy.connections(), 0, "{host}");
    }
}

#[test]
fn other_hosts_go_through_the_proxy_unless_no_proxy_names_them() {
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let proxy = Faults::start(faults::answer("200 OK", &[], ""));
        // A failure of one run would keep the next one away from the gateway for a while.
        let sandbox = || Sandbox::new().env(name, proxy.url().replace("http://", "http://user:s3cret@"));
        let arguments = arguments("http://gateway.invalid:9091");
        sandbox().env("NO_PROXY", "gateway.invalid").jobmon(arguments.clone()).any_stderr().run();
        assert_eq!(proxy.connections(), 0, "{name}");
        // RFC 9112, 3.2.2: to a proxy, the target is the whole URL. The name is the proxy's to resolve.
        sandbox().jobmon(arguments).any_stderr().run();
        let requests = proxy.requests();
        let push = requests.iter().find(|request| request.method == "PUT" || request.method == "POST");
        let push = push.unwrap_or_else(|| panic!("{name}: no push among {requests:?}"));
        assert!(push.path.starts_with("http://gateway.invalid:9091/metrics/job/script_monitor/"), "{}", push.path);
        assert_eq!(push.header("proxy-authorization"), Some("Basic dXNlcjpzM2NyZXQ="));
    }
}
