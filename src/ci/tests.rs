use super::*;

/// Provider, name, repository, branch and URL of what these variables say; a dash for what there is not.
fn seen(variables: &[(&str, &str)]) -> [String; 5] {
    let variable =
        |name: &str| variables.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let Some(job) = detect(variable) else { return ["-"; 5].map(str::to_owned) };
    let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [job.provider.to_owned(), text(job.name()), text(job.repository), text(job.branch), text(job.run_url)]
}

fn check(variables: &[(&str, &str)], expected: [&str; 5]) {
    assert_eq!(seen(variables), expected, "{variables:?}");
}

const GITHUB: [(&str, &str); 9] = [
    ("CI", "true"),
    ("GITHUB_ACTIONS", "true"),
    ("GITHUB_WORKFLOW", "Nightly build"),
    ("GITHUB_JOB", "test"),
    ("GITHUB_REPOSITORY", "octo/cat"),
    ("GITHUB_REF_NAME", "feature/x"),
    ("GITHUB_REF_TYPE", "branch"),
    ("GITHUB_SERVER_URL", "https://github.com"),
    ("GITHUB_RUN_ID", "1658821493"),
];

fn github_with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    GITHUB.iter().chain(more).copied().collect()
}

#[test]
fn github_actions() {
    let url = "https://github.com/octo/cat/actions/runs/1658821493";
    let expected = |branch: &'static str| ["GitHub Actions", "Nightly build/test", "octo/cat", branch, url];
    check(&GITHUB, expected("feature/x"));
    let pull_request = [("GITHUB_HEAD_REF", "fix"), ("GITHUB_REF_NAME", "7/merge")];
    check(&github_with(&pull_request), expected("fix"));
    check(&github_with(&[("GITHUB_HEAD_REF", ""), ("GITHUB_REF_NAME", "main")]), expected("main"));
    check(&github_with(&[("GITHUB_REF_NAME", "7/merge")]), expected("-"));
    check(&github_with(&[("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1")]), expected("-"));
    check(&github_with(&[("GITHUB_REF_NAME", "gh-readonly-queue/main/pr-7-0a1b")]), expected("-"));
}

#[test]
fn forgejo_and_gitea() {
    let more = [("GITHUB_SERVER_URL", "https://codeberg.org"), ("GITHUB_RUN_NUMBER", "42")];
    let url = "https://codeberg.org/octo/cat/actions/runs/42";
    for (marker, provider) in [("FORGEJO_ACTIONS", "Forgejo Actions"), ("GITEA_ACTIONS", "Gitea Actions")] {
        let variables = github_with(&[&more[..], &[(marker, "true")]].concat());
        check(&variables, [provider, "Nightly build/test", "octo/cat", "feature/x", url]);
    }
}

#[test]
fn gitlab() {
    let variables = [
        ("GITLAB_CI", "true"),
        ("CI_PIPELINE_NAME", "Pipeline for 0a1b2c"),
        ("CI_JOB_NAME", "rspec 1/3"),
        ("CI_JOB_STAGE", "test"),
        ("CI_PROJECT_PATH", "group/sub/project"),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_JOB_URL", "https://gitlab.example.org/group/sub/project/-/jobs/77"),
    ];
    let url = "https://gitlab.example.org/group/sub/project/-/jobs/77";
    check(&variables, ["GitLab CI", "rspec 1/3", "group/sub/project", "main", url]);
    // "CI_COMMIT_BRANCH: not available in merge request pipelines or tag pipelines."
    let other: Vec<_> = variables.iter().copied().filter(|(name, _)| *name != "CI_COMMIT_BRANCH").collect();
    check(&other, ["GitLab CI", "rspec 1/3", "group/sub/project", "-", url]);
    let merge_request = [&other[..], &[("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "fix")]].concat();
    check(&merge_request, ["GitLab CI", "rspec 1/3", "group/sub/project", "fix", url]);
}

#[test]
fn circleci() {
    let variables = [
        ("CIRCLECI", "true"),
        ("CIRCLE_JOB", "build"),
        ("CIRCLE_PROJECT_USERNAME", "octo"),
        ("CIRCLE_PROJECT_REPONAME", "cat"),
        ("CIRCLE_BRANCH", "main"),
        ("CIRCLE_BUILD_URL", "https://circleci.com/gh/octo/cat/9"),
    ];
    check(&variables, ["CircleCI", "build", "octo/cat", "main", "https://circleci.com/gh/octo/cat/9"]);
    check(&variables[..2], ["CircleCI", "build", "-", "-", "-"]);
}

#[test]
fn buildkite() {
    let variables = [
        ("BUILDKITE", "true"),
        ("BUILDKITE_PIPELINE_SLUG", "cat"),
        ("BUILDKITE_LABEL", ":hammer: Tests"),
        ("BUILDKITE_REPO", "git@github.com:octo/cat.git"),
        ("BUILDKITE_BRANCH", "main"),
        ("BUILDKITE_TAG", ""),
        ("BUILDKITE_BUILD_URL", "https://buildkite.com/octo/cat/builds/15"),
        ("BUILDKITE_JOB_ID", "e44f9784"),
    ];
    let url = "https://buildkite.com/octo/cat/builds/15#e44f9784";
    check(&variables, ["Buildkite", "cat/:hammer: Tests", "octo/cat", "main", url]);
    let keyed = [&variables[..], &[("BUILDKITE_STEP_KEY", "tests"), ("BUILDKITE_TAG", "v1")]].concat();
    check(&keyed, ["Buildkite", "cat/tests", "octo/cat", "-", url]);
}

#[test]
fn woodpecker_and_drone() {
    let variables = [
        ("CI", "woodpecker"),
        ("CI_REPO", "octo/cat"),
        ("CI_WORKFLOW_NAME", "nightly"),
        ("CI_STEP_NAME", "build"),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_PIPELINE_URL", "https://ci.example.org/repos/7/pipeline/8"),
    ];
    let url = "https://ci.example.org/repos/7/pipeline/8";
    check(&variables, ["Woodpecker", "nightly/build", "octo/cat", "main", url]);
    let pull_request = [&variables[..], &[("CI_COMMIT_SOURCE_BRANCH", "fix")]].concat();
    check(&pull_request, ["Woodpecker", "nightly/build", "octo/cat", "fix", url]);
    let drone = [
        ("CI", "true"),
        ("DRONE", "true"),
        ("DRONE_REPO", "octo/cat"),
        ("DRONE_STAGE_NAME", "default"),
        ("DRONE_STEP_NAME", "build"),
        ("DRONE_BRANCH", "main"),
        ("DRONE_SOURCE_BRANCH", "fix"),
        ("DRONE_BUILD_LINK", "https://drone.example.org/octo/cat/42"),
    ];
    let url = "https://drone.example.org/octo/cat/42";
    check(&drone, ["Drone", "default/build", "octo/cat", "main", url]);
    let pull_request = [&drone[..], &[("DRONE_PULL_REQUEST", "7")]].concat();
    check(&pull_request, ["Drone", "default/build", "octo/cat", "fix", url]);
}

#[test]
fn azure() {
    let variables = [
        ("TF_BUILD", "True"),
        ("BUILD_DEFINITIONNAME", "nightly"),
        ("SYSTEM_JOBNAME", "build"),
        ("BUILD_REPOSITORY_NAME", "cat"),
        ("BUILD_SOURCEBRANCH", "refs/heads/feature/x"),
        ("SYSTEM_COLLECTIONURI", "https://dev.azure.com/octo/"),
        ("SYSTEM_TEAMPROJECT", "My Project"),
        ("BUILD_BUILDID", "99"),
    ];
    let url = "https://dev.azure.com/octo/My%20Project/_build/results?buildId=99";
    let expected = |branch: &'static str| ["Azure Pipelines", "nightly/build", "cat", branch, url];
    check(&variables, expected("feature/x"));
    let with = |more: &[(&'static str, &'static str)]| [&variables[..], more].concat();
    check(&with(&[("BUILD_SOURCEBRANCH", "refs/tags/v1")]), expected("-"));
    check(&with(&[("BUILD_SOURCEBRANCH", "refs/pull/1/merge")]), expected("-"));
    check(&with(&[("SYSTEM_PULLREQUEST_SOURCEBRANCH", "refs/heads/fix")]), expected("fix"));
}

#[test]
fn jenkins() {
    let variables = [
        ("JENKINS_URL", "https://jenkins.example.org/"),
        ("JOB_NAME", "folder/nightly"),
        ("STAGE_NAME", "Build"),
        ("GIT_URL", "https://ci:secret@git.example.org/octo/cat.git"),
        ("GIT_BRANCH", "origin/main"),
        ("BUILD_URL", "https://jenkins.example.org/job/folder/job/nightly/7/"),
    ];
    let url = "https://jenkins.example.org/job/folder/job/nightly/7/";
    check(&variables, ["Jenkins", "folder/nightly/Build", "octo/cat", "main", url]);
    let branch = [("JOB_NAME", "octo/cat/feature%2Fx"), ("BRANCH_NAME", "feature/x"), ("GIT_BRANCH", "feature/x")];
    let multibranch = [&variables[..], &branch].concat();
    check(&multibranch, ["Jenkins", "octo/cat/Build", "octo/cat", "feature/x", url]);
    let change = [&multibranch[..], &[("BRANCH_NAME", "PR-7"), ("CHANGE_BRANCH", "fix")]].concat();
    check(&change, ["Jenkins", "octo/cat/Build", "octo/cat", "fix", url]);
    let tag = [&multibranch[..], &[("BRANCH_NAME", "v1"), ("TAG_NAME", "v1")]].concat();
    check(&tag, ["Jenkins", "octo/cat/Build", "octo/cat", "-", url]);
    check(&[("BUILD_TAG", "jenkins-nightly-7"), ("JOB_NAME", "nightly")], ["Jenkins", "nightly", "-", "-", "-"]);
}

#[test]
fn elsewhere_there_is_nothing() {
    check(&[], ["-"; 5]);
    check(&[("CI", "true"), ("BUILD_TAG", "7")], ["-"; 5]);
    check(&[("GITHUB_ACTIONS", "false")], ["-"; 5]);
    check(&[("GITHUB_ACTIONS", "")], ["-"; 5]);
}

#[test]
fn what_is_missing_or_odd_is_left_out() {
    check(&[("GITHUB_ACTIONS", "true")], ["GitHub Actions", "-", "-", "-", "-"]);
    check(
        &[("GITHUB_ACTIONS", "true"), ("GITHUB_JOB", " \t"), ("GITHUB_WORKFLOW", "w")],
        ["GitHub Actions", "w", "-", "-", "-"],
    );
    let with_url = |url: &str| seen(&[("GITLAB_CI", "true"), ("CI_JOB_URL", url)])[4].clone();
    assert_eq!(with_url("https://gitlab/-/jobs/1?a=b#c"), "https://gitlab/-/jobs/1?a=b#c");
    for url in [
        "ftp://x/y",
        "javascript:alert(1)",
        "https://",
        "https://u:p@host/x",
        "https://host/a b",
        "https://h/\u{1b}[31m",
    ] {
        assert_eq!(with_url(url), "-", "{url}");
    }
    assert_eq!(with_url(&format!("https://host/{}", "x".repeat(1000))), "-");
}

#[test]
fn repositories_of_addresses() {
    let check = |url: &str, expected: Option<&str>| assert_eq!(repository_of(url).as_deref(), expected, "{url}");
    check("https://github.com/octo/cat.git", Some("octo/cat"));
    check("https://user:pass@host:8443/a/b/c/", Some("a/b/c"));
    check("ssh://git@host:22/octo/cat", Some("octo/cat"));
    check("git@github.com:octo/cat.git", Some("octo/cat"));
    check("/srv/git/cat.git", Some("srv/git/cat"));
    check("file:///srv/git/cat.git", Some("srv/git/cat"));
    check("https://host", None);
    check("https://host/.git", None);
    check("", None);
}

proptest::proptest! {
    /// Whatever variables hold, a URL is one line of plain ASCII, and nothing is empty.
    #[test]
    fn no_values_make_it_panic(value in "\\PC{0,40}", marker in 0..10_usize) {
        let markers = [
            "FORGEJO_ACTIONS", "GITEA_ACTIONS", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE", "CI", "DRONE",
            "TF_BUILD", "JENKINS_URL",
        ];
        let of_marker = |name: &str| (name == markers[marker]).then(|| if name == "CI" { "woodpecker" } else { "true" });
        let job = detect(|name| of_marker(name).map(str::to_owned).or_else(|| {
            (!markers.contains(&name)).then(|| value.clone())
        }));
        let job = job.unwrap();
        assert!(job.run_url.as_ref().is_none_or(|url| url.is_ascii() && url.lines().count() == 1));
        let parts = [job.name(), job.repository, job.branch, job.run_url];
        assert!(parts.into_iter().flatten().all(|part| !part.is_empty()));
    }
}
