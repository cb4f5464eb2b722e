//! Rules about the gateways.

use super::{Hold, Rule, Severity};
use crate::generate::{GATEWAY_JOB, GATEWAY_LABEL};

/// Which gateway: its address where the scrape config says it, else what Prometheus calls it.
fn which() -> String {
    format!("{{{{ with $labels.{GATEWAY_LABEL} }}}}{{{{ . }}}}{{{{ else }}}}{{{{ $labels.instance }}}}{{{{ end }}}}")
}

pub(super) fn alerts() -> Vec<Rule> {
    let which = which();
    let up = format!("up{{job=\"{GATEWAY_JOB}\"}}");
    let refused =
        format!("pushgateway_http_requests_total{{job=\"{GATEWAY_JOB}\",handler=\"push\",code=~\"4..|5..\"}}");
    vec![
        Rule::alert(
            "PushgatewayDown",
            Severity::Critical,
            format!("{up} == 0"),
            &format!("Pushgateway {which} cannot be scraped"),
            "While this fires, no alert about a job on that gateway can. If its /-/healthy says OK, one bad push poisoned \
             it: `jobmon doctor --fix` names and removes the culprit.",
        )
        .hold(Hold::For("2m"))
        .comment("Also a poisoned gateway: its /metrics answers 500 while its /-/healthy says 200."),
        Rule::alert(
            "PushgatewayAbsent",
            Severity::Critical,
            format!("absent({up})"),
            "no Pushgateway is scraped",
            &format!("No target of a scrape job {GATEWAY_JOB} is configured or discovered."),
        )
        .hold(Hold::For("5m")),
        Rule::alert(
            "PushgatewayRejectsPushes",
            Severity::Warning,
            format!(
                "sum without (code, method) (\n  increase({refused}[1h]) > 0\n  or (\n    {refused}\n      \
                 unless {refused} offset 1h\n      and on (job, instance, {GATEWAY_LABEL}) {up} offset 1h == 1\n  )\n)"
            ),
            &format!("Pushgateway {which} refused pushes within an hour"),
            "Malformed pushes leave no other trace than this counter and the log of the client.",
        )
        .comment("The first refusal makes the counter appear with 1, which increase() cannot see."),
        Rule::alert(
            "PushgatewaySlow",
            Severity::Warning,
            format!("max without (method, quantile) (pushgateway_http_push_duration_seconds{{job=\"{GATEWAY_JOB}\",quantile=\"0.9\"}}) > 5"),
            &format!("Pushgateway {which} takes {{{{ $value | humanizeDuration }}}} for a push"),
            "The cost of a push grows with all samples that the gateway holds: clear stale groups, or use more gateways.",
        )
        .hold(Hold::For("10m")),
        Rule::alert(
            "PushgatewayRestarted",
            Severity::Info,
            format!("changes(process_start_time_seconds{{job=\"{GATEWAY_JOB}\"}}[15m]) > 0"),
            &format!("Pushgateway {which} restarted"),
            "What was pushed since its last persist is lost until `jobmon flush` or the next run on each host sends it again.",
        ),
    ]
}
