//! One container: its process, its probes, its restarts.
//!
//! Guarantees: at most one process at a time; a process that is told to stop gets its grace period and then SIGKILL;
//! restarts are spaced as Kubernetes spaces them.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::exec::ContainerPlace;
use super::logs::LogStore;
use super::plan::{ContainerPlan, RestartPolicy};
use super::probe::{Health, Probed, Probes};
use super::spawn::Process;

/// The pause before the second restart; it doubles with each further one. The first restart is at once.
const BACKOFF_FIRST: Duration = Duration::from_secs(10);
const BACKOFF_LIMIT: Duration = Duration::from_secs(300);
/// A container that ran this long starts with a clean slate.
const BACKOFF_RESET: Duration = Duration::from_secs(600);
/// What a container gets after a hook that used up the grace period.
const AFTER_HOOK: Duration = Duration::from_secs(2);
/// How long a killed process may take to be gone, and its pipes to be read to their end.
const REAP_LIMIT: Duration = Duration::from_secs(5);

/// What happens to a pod's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nothing: run.
    No,
    /// Stop within the grace period.
    Within(Duration),
}

impl Stop {
    pub(super) const fn asked(&self) -> bool {
        matches!(self, Self::Within(_))
    }

    fn grace(self) -> Duration {
        match self {
            Self::No => Duration::ZERO,
            Self::Within(grace) => grace,
        }
    }
}

/// What a container's status is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) phase: Phase,
    pub(super) last: Option<Ended>,
    pub(super) restarts: u32,
    pub(super) started: bool,
    pub(super) ready: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting {
        reason: &'static str,
        message: Option<String>,
    },
    Running {
        since: Timestamp,
    },
    /// It ended and is not restarted.
    Ended(Ended),
}

/// How a container's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) exit_code: i32,
    pub(super) signal: Option<i32>,
    pub(super) reason: &'static str,
    pub(super) message: Option<String>,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
}

impl Record {
    /// A process of it runs or ran.
    pub(super) const fn has_run(&self) -> bool {
        !matches!(self.phase, Phase::Waiting { .. }) || self.last.is_some()
    }

    /// When it ended for good.
    pub(super) const fn finished(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Ended(ended) => Some(ended.finished),
            Phase::Waiting { .. } | Phase::Running { .. } => None,
        }
    }

    pub(super) fn waiting(reason: &'static str, message: Option<String>, plan: &ContainerPlan) -> Self {
        let last = plan.ran_before.as_ref().map(|started| Ended {
            exit_code: 137,
            signal: Some(Signal::SIGKILL as i32),
            reason: "Error",
            message: Some("the runtime ended, and the container with it".to_owned()),
            started: started.0,
            finished: Timestamp::now(),
        });
        Self { phase: Phase::Waiting { reason, message }, last, restarts: plan.restarts, started: false, ready: false }
    }
}

/// Everything one container's task needs.
pub(super) struct ContainerTask {
    pub(super) plan: ContainerPlan,
    /// `(namespace, name, uid)` of the pod.
    pub(super) pod: (String, String, String),
    /// How its process, and others beside it, are started.
    pub(super) place: ContainerPlace,
    pub(super) app_ip: IpAddr,
    pub(super) restart: RestartPolicy,
    /// What it has to end when a probe says that it must.
    pub(super) grace: Duration,
    pub(super) logs: Arc<LogStore>,
    pub(super) stop: watch::Receiver<Stop>,
    /// The records of the pod's containers, and this one's place among them.
    pub(super) records: Arc<watch::Sender<Vec<Record>>>,
    pub(super) index: usize,
}

impl ContainerTask {
    /// Runs the container until the pod stops or the container has ended for good.
    pub(super) async fn run(mut self) {
        let mut failures: u32 = 0;
        loop {
            if self.stop.borrow().asked() {
                return;
            }
            let began = Instant::now();
            let ended = self.run_once().await;
            let again = match self.restart {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => ended.exit_code != 0,
                RestartPolicy::Never => false,
            };
            if !again || self.stop.borrow().asked() {
                self.update(|record| {
                    record.phase = Phase::Ended(ended);
                    (record.started, record.ready) = (false, false);
                });
                return;
            }
            failures = if began.elapsed() >= BACKOFF_RESET { 0 } else { failures.saturating_add(1) };
            let pause = backoff(failures);
            let message = format!("restarting in {} s after exit code {}", pause.as_secs(), ended.exit_code);
            self.update(|record| {
                record.phase = Phase::Waiting { reason: "CrashLoopBackOff", message: Some(message) };
                record.last = Some(ended);
                record.restarts = record.restarts.saturating_add(1);
                (record.started, record.ready) = (false, false);
            });
            tokio::select! {
                () = sleep(pause) => {}
                _ = self.stop.wait_for(Stop::asked) => return,
            }
        }
    }

    async fn run_once(&self) -> Ended {
        let started = Timestamp::now();
        let outcome = self.process(started).await;
        let (exit_code, signal, reason, message) = match outcome {
            Ok((status, message)) => {
                use std::os::unix::process::ExitStatusExt;
                let signal = status.signal();
                let code = status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0));
                (code, signal, if code == 0 { "Completed" } else { "Error" }, message)
            }
            Err(error) => (128, None, "StartError", Some(format!("cannot start the container: {error}"))),
        };
        Ended { exit_code, signal, reason, message, started, finished: Timestamp::now() }
    }

    /// Starts the process and stays with it to its end. The message says why it was killed, if it was.
    async fn process(&self, started: Timestamp) -> io::Result<(std::process::ExitStatus, Option<String>)> {
        let (namespace, name, uid) = &self.pod;
        let log = self.logs.writer(namespace, name, uid, &self.plan.name).map_err(io::Error::other)?;
        let mut command = self.place.command.clone();
        command.extend(self.plan.command.iter().map(Into::into));
        let process =
            Process { command, env: self.place.env.clone(), directory: self.place.directory.clone(), input: false };
        let mut child = self.place.spawner.spawn(process).await?;
        let (stdout, stderr) =
            child.stdout.take().zip(child.stderr.take()).ok_or_else(|| io::Error::other("no pipes"))?;
        self.update(|record| {
            record.phase = Phase::Running { since: started };
            (record.started, record.ready) = (false, false);
        });
        let mut pump = std::pin::pin!(log.pump(stdout, stderr));
        let mut pumped = false;
        let ended = {
            let mut alive = std::pin::pin!(self.live(&mut child));
            loop {
                tokio::select! {
                    ended = alive.as_mut() => break ended?,
                    result = pump.as_mut(), if !pumped => {
                        pumped = true;
                        if let Err(error) = result {
                            tracing::warn!(pod = %name, container = %self.plan.name, %error, "cannot write a container's log");
                        }
                    }
                }
            }
        };
        if !pumped {
            // What the process wrote last is still in its pipes.
            let _rest = timeout(REAP_LIMIT, pump).await;
        }
        Ok(ended)
    }

    async fn live(&self, child: &mut Child) -> io::Result<(std::process::ExitStatus, Option<String>)> {
        let probes = Probes {
            startup: self.plan.startup.as_ref(),
            readiness: self.plan.readiness.as_ref(),
            liveness: self.plan.liveness.as_ref(),
        };
        let report = |health: Health| {
            self.update(|record| (record.started, record.ready) = (health.started, health.ready));
        };
        let probed = Probed { ip: self.app_ip, place: &self.place };
        let mut stop = self.stop.clone();
        tokio::select! {
            status = child.wait() => Ok((status?, None)),
            (failed, grace) = probes.watch(&probed, report) => {
                Ok((self.end_within(child, grace.unwrap_or(self.grace)).await?, Some(failed)))
            }
            asked = async { stop.wait_for(Stop::asked).await.map(|stop| *stop) } => {
                Ok((self.end_within(child, asked.map_or(Duration::ZERO, Stop::grace)).await?, None))
            }
        }
    }

    /// Ends the process within its grace period, or within a shorter one that the pod is given meanwhile.
    async fn end_within(&self, child: &mut Child, grace: Duration) -> io::Result<std::process::ExitStatus> {
        let mut stop = self.stop.clone();
        let grace = self.before_stop(grace).await;
        let hurried = async { stop.wait_for(|now| now.asked() && now.grace() < grace).await.map(|stop| *stop) };
        let shorter = tokio::select! {
            status = end(child, grace) => return status,
            Ok(shorter) = hurried => shorter,
        };
        end(child, shorter.grace()).await
    }

    /// Runs the hook that the container has for its end; what is left of the grace period.
    async fn before_stop(&self, grace: Duration) -> Duration {
        let Some(hook) = self.plan.pre_stop.as_deref().filter(|_| !grace.is_zero()) else { return grace };
        let began = Instant::now();
        if let Ok(Err(reason)) = timeout(grace, self.place.succeeds(hook)).await {
            let (_, pod, _) = &self.pod;
            tracing::warn!(%pod, container = %self.plan.name, "its preStop hook failed: {reason}");
        }
        // As in Kubernetes, a hook that used all of the time leaves a little for the container.
        grace.saturating_sub(began.elapsed()).max(AFTER_HOOK.min(grace))
    }

    fn update(&self, change: impl FnOnce(&mut Record)) {
        self.records.send_if_modified(|records| {
            let Some(record) = records.get_mut(self.index) else { return false };
            let before = record.clone();
            change(record);
            *record != before
        });
    }
}

fn backoff(failures: u32) -> Duration {
    match failures.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => {
            BACKOFF_FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(BACKOFF_LIMIT)
        }
    }
}

/// SIGTERM, the grace period, SIGKILL.
async fn end(child: &mut Child, grace: Duration) -> io::Result<std::process::ExitStatus> {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    if let Some(pid) = pid.filter(|_| !grace.is_zero()) {
        // The child is not reaped yet, so the id is still its own. An error means that it is ending already.
        let _ending = kill(pid, Signal::SIGTERM);
        if let Ok(status) = timeout(grace, child.wait()).await {
            return status;
        }
    }
    child.start_kill()?;
    timeout(REAP_LIMIT, child.wait()).await.map_err(io::Error::from)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_are_spaced() {
        let seconds: Vec<_> = (0..9).map(|failures| backoff(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff(u32::MAX), BACKOFF_LIMIT);
    }
}
