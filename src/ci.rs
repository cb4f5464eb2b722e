//! What a CI system says of the job that it runs, in the variables that its manual documents. Pure.
//!
//! What changes from run to run (numbers, commits) is left to the URL, which is kept with the run and never part of a group.

/// A job of a CI system, as far as its variables tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CiJob {
    /// The system, for people.
    pub provider: &'static str,
    /// What groups its jobs: a workflow, a pipeline, a stage.
    pub workflow: Option<String>,
    /// The job or step.
    pub job: Option<String>,
    /// The repository, usually `owner/name`.
    pub repository: Option<String>,
    /// The branch; of a merge request the one that is to be merged. None for a tag, for tags never come again.
    pub branch: Option<String>,
    /// Where a person can look at this run.
    pub run_url: Option<String>,
}

impl CiJob {
    /// `workflow/job`, or whichever of them there is.
    pub fn name(&self) -> Option<String> {
        let parts: Vec<&str> = [&self.workflow, &self.job].into_iter().flatten().map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    }
}

/// The job that these variables tell of; none outside of a system that is known.
pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Option<CiJob> {
    let variables = Variables(&variable);
    let system = SYSTEMS.iter().find(|system| (system.is_this)(&variables))?;
    let job = (system.read)(&variables);
    let run_url = job.run_url.filter(|url| is_plain_url(url));
    Some(CiJob { provider: system.name, run_url, ..job })
}

struct System {
    name: &'static str,
    is_this: fn(&Variables<'_>) -> bool,
    read: fn(&Variables<'_>) -> CiJob,
}

/// Those that set the variables of another one, too, come before it.
const SYSTEMS: [System; 10] = [
    System { name: "Forgejo Actions", is_this: |v| v.is_true("FORGEJO_ACTIONS"), read: forgejo },
    System { name: "Gitea Actions", is_this: |v| v.is_true("GITEA_ACTIONS"), read: forgejo },
    System { name: "GitHub Actions", is_this: |v| v.is_true("GITHUB_ACTIONS"), read: github },
    System { name: "GitLab CI", is_this: |v| v.is_true("GITLAB_CI"), read: gitlab },
    System { name: "CircleCI", is_this: |v| v.is_true("CIRCLECI"), read: circleci },
    System { name: "Buildkite", is_this: |v| v.is_true("BUILDKITE"), read: buildkite },
    System { name: "Woodpecker", is_this: |v| v.get("CI").as_deref() == Some("woodpecker"), read: woodpecker },
    System { name: "Drone", is_this: |v| v.is_true("DRONE"), read: drone },
    System { name: "Azure Pipelines", is_this: |v| v.is_true("TF_BUILD"), read: azure },
    System { name: "Jenkins", is_this: is_jenkins, read: jenkins },
];

struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// Without white space around it; one that is empty is not set.
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.get(name))
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    /// The value of `name`, unless this is a run for a tag.
    fn unless_tag(&self, tag: &str, name: &str) -> Option<String> {
        self.get(name).filter(|_| self.get(tag).is_none())
    }
}

/// docs.github.com, "Variables reference": default environment variables.
fn github(variables: &Variables<'_>) -> CiJob {
    let repository = variables.get("GITHUB_REPOSITORY");
    let run = repository.as_ref().zip(variables.get("GITHUB_SERVER_URL")).zip(variables.get("GITHUB_RUN_ID"));
    CiJob {
        workflow: variables.get("GITHUB_WORKFLOW"),
        job: variables.get("GITHUB_JOB"),
        branch: branch_of_github(variables),
        run_url: run.map(|((repository, server), run)| format!("{server}/{repository}/actions/runs/{run}")),
        repository,
        ..CiJob::default()
    }
}

/// forgejo.org and docs.gitea.com, "Actions": the variables of GitHub, and pages of runs by their number.
fn forgejo(variables: &Variables<'_>) -> CiJob {
    let job = github(variables);
    let run = job.repository.as_ref().zip(variables.get("GITHUB_SERVER_URL")).zip(variables.get("GITHUB_RUN_NUMBER"));
    let run_url = run.map(|((repository, server), run)| format!("{server}/{repository}/actions/runs/{run}"));
    CiJob { run_url, ..job }
}

fn branch_of_github(variables: &Variables<'_>) -> Option<String> {
    let of_push =
        || variables.get("GITHUB_REF_NAME").filter(|_| variables.get("GITHUB_REF_TYPE").as_deref() == Some("branch"));
    let is_lasting = |branch: &String| !branch.starts_with("gh-readonly-queue/") && !branch.ends_with("/merge");
    variables.get("GITHUB_HEAD_REF").or_else(|| of_push().filter(is_lasting))
}

/// docs.gitlab.com, "Predefined CI/CD variables reference". The name of a pipeline may hold what changes, so the name of
/// the job, which no other job of the project has, is enough.
fn gitlab(variables: &Variables<'_>) -> CiJob {
    CiJob {
        job: variables.get("CI_JOB_NAME"),
        repository: variables.get("CI_PROJECT_PATH"),
        branch: variables.first(&["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH"]),
        run_url: variables.first(&["CI_JOB_URL", "CI_PIPELINE_URL"]),
        ..CiJob::default()
    }
}

/// circleci.com, "Project values and variables": built-in environment variables. Workflows have no name there.
fn circleci(variables: &Variables<'_>) -> CiJob {
    let owner = variables.get("CIRCLE_PROJECT_USERNAME");
    let repository = variables.get("CIRCLE_PROJECT_REPONAME").map(|name| match owner {
        Some(owner) => format!("{owner}/{name}"),
        None => name,
    });
    CiJob {
        job: variables.get("CIRCLE_JOB"),
        repository,
        branch: variables.unless_tag("CIRCLE_TAG", "CIRCLE_BRANCH"),
        run_url: variables.get("CIRCLE_BUILD_URL"),
        ..CiJob::default()
    }
}

/// buildkite.com, "Environment variables".
fn buildkite(variables: &Variables<'_>) -> CiJob {
    let job_id = variables.get("BUILDKITE_JOB_ID").map_or_else(String::new, |id| format!("#{id}"));
    CiJob {
        workflow: variables.get("BUILDKITE_PIPELINE_SLUG"),
        job: variables.first(&["BUILDKITE_STEP_KEY", "BUILDKITE_LABEL"]),
        repository: variables.get("BUILDKITE_REPO").and_then(|url| repository_of(&url)),
        branch: variables.unless_tag("BUILDKITE_TAG", "BUILDKITE_BRANCH"),
        run_url: variables.get("BUILDKITE_BUILD_URL").map(|url| url + &job_id),
        ..CiJob::default()
    }
}

/// woodpecker-ci.org, "Environment variables": built-in environment variables.
fn woodpecker(variables: &Variables<'_>) -> CiJob {
    let pushed = variables.unless_tag("CI_COMMIT_TAG", "CI_COMMIT_BRANCH");
    CiJob {
        workflow: variables.get("CI_WORKFLOW_NAME"),
        job: variables.get("CI_STEP_NAME"),
        repository: variables.get("CI_REPO"),
        branch: variables.get("CI_COMMIT_SOURCE_BRANCH").or(pushed),
        run_url: variables.first(&["CI_STEP_URL", "CI_PIPELINE_URL"]),
        ..CiJob::default()
    }
}

/// docs.drone.io, "Reference": environment.
fn drone(variables: &Variables<'_>) -> CiJob {
    let is_pull_request = variables.get("DRONE_PULL_REQUEST").is_some();
    let source = variables.get("DRONE_SOURCE_BRANCH").filter(|_| is_pull_request);
    let pushed = || variables.unless_tag("DRONE_TAG", "DRONE_BRANCH");
    CiJob {
        workflow: variables.get("DRONE_STAGE_NAME"),
        job: variables.get("DRONE_STEP_NAME"),
        repository: variables.get("DRONE_REPO"),
        branch: source.or_else(pushed),
        run_url: variables.get("DRONE_BUILD_LINK"),
        ..CiJob::default()
    }
}

/// learn.microsoft.com, "Use predefined variables" of Azure Pipelines.
fn azure(variables: &Variables<'_>) -> CiJob {
    let branch = variables.first(&["SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"]);
    let collection = variables.first(&["SYSTEM_COLLECTIONURI", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"]);
    let build = collection.zip(variables.get("SYSTEM_TEAMPROJECT")).zip(variables.get("BUILD_BUILDID"));
    let run_url = build.map(|((collection, project), build)| {
        let collection = collection.trim_end_matches('/');
        format!("{collection}/{}/_build/results?buildId={build}", percent_encoded(&project))
    });
    CiJob {
        workflow: variables.get("BUILD_DEFINITIONNAME"),
        job: variables.first(&["SYSTEM_JOBNAME", "AGENT_JOBNAME"]),
        repository: variables.get("BUILD_REPOSITORY_NAME"),
        branch: branch.and_then(|branch| Some(branch.strip_prefix("refs/heads/")?.to_owned())),
        run_url,
        ..CiJob::default()
    }
}

fn is_jenkins(variables: &Variables<'_>) -> bool {
    // The URL is only set where somebody has configured it.
    let has_tag = || variables.get("BUILD_TAG").is_some_and(|tag| tag.starts_with("jenkins-"));
    variables.get("JENKINS_URL").is_some() || has_tag()
}

/// jenkins.io, "Using a Jenkinsfile": environment variables, and those of its Git plugin.
fn jenkins(variables: &Variables<'_>) -> CiJob {
    let branch = variables.unless_tag("TAG_NAME", "BRANCH_NAME");
    let is_multibranch = variables.get("BRANCH_NAME").is_some();
    // The last part of such a job's name is the branch.
    let workflow = variables.get("JOB_NAME").map(|name| match name.rsplit_once('/') {
        Some((project, _)) if is_multibranch => project.to_owned(),
        _ => name,
    });
    let local = |branch: String| branch.strip_prefix("origin/").map_or(branch.clone(), str::to_owned);
    let of_git = || variables.first(&["GIT_LOCAL_BRANCH", "GIT_BRANCH"]).map(local).filter(|_| !is_multibranch);
    CiJob {
        workflow,
        job: variables.get("STAGE_NAME"),
        repository: variables.first(&["GIT_URL", "GIT_URL_1"]).and_then(|url| repository_of(&url)),
        branch: variables.get("CHANGE_BRANCH").or(branch).or_else(of_git),
        run_url: variables.get("BUILD_URL"),
        ..CiJob::default()
    }
}

/// `owner/name` of `https://user:password@host/owner/name.git`, `git@host:owner/name.git` or `/srv/owner/name`.
fn repository_of(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        // The colon of an scp-like address stands before any slash.
        None => match url.split_once(':') {
            Some((host, path)) if !host.contains('/') => path,
            _ => url,
        },
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!path.is_empty()).then(|| path.to_owned())
}

/// Whether a person can follow it, a terminal show it, and nobody learn a password from it.
fn is_plain_url(url: &str) -> bool {
    const LONGEST: usize = 1000;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |rest: &str| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !host.is_empty() && !host.contains('@') && rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\<>".contains(&b))
    };
    url.len() <= LONGEST && rest.is_some_and(is_plain)
}

fn percent_encoded(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encoded = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests;
