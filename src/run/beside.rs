//! Requests made while the job runs or jobmon is told to stop: nothing that a gateway does keeps a signal from the job.

use std::future::{Future, poll_fn};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;

use crate::sinks::Driver;
use crate::supervise::{Execution, Job, StopWatch};

/// How a job ended, and when that was noticed.
pub type Ended = (Execution, Instant);

/// What came of some work beside a job.
pub struct Beside<T> {
    /// The work's result; none if it was given up, or could not be done at all.
    pub done: Option<T>,
    /// The job ended meanwhile.
    pub ended: Option<Ended>,
}

/// Does `work` while the job goes on. When the job ends first, the work has `grace` to come to its end, but none once
/// somebody asks jobmon to stop.
pub fn beside_job<T>(driver: &Driver, job: &mut Job, grace: Duration, work: impl Future<Output = T>) -> Beside<T> {
    let Some(events) = job.events_fd().and_then(own) else { return Beside { done: None, ended: step(job) } };
    driver.block_on(async {
        let Some(events) = watched(events) else {
            return Beside { done: None, ended: step(job) };
        };
        let mut work = pin!(work);
        // Events that came before the descriptor was watched.
        let mut ended = step(job);
        while ended.is_none() {
            match either(&mut work, readable(&events)).await {
                Either::Left(done) => return Beside { done: Some(done), ended: step(job) },
                Either::Right(()) => ended = step(job),
            }
        }
        let is_asked_to_stop = ended.as_ref().is_some_and(|(execution, _)| execution.stop_requested);
        let grace = if is_asked_to_stop { Duration::ZERO } else { grace };
        // After the end of the job nothing but a signal makes the descriptor readable; what it is, is looked at later.
        let work = tokio::time::timeout(grace, work);
        let done = match either(pin!(work), readable(&events)).await {
            Either::Left(done) => done.ok(),
            Either::Right(()) => None,
        };
        Beside { done, ended }
    })
}

fn step(job: &mut Job) -> Option<Ended> {
    job.step().map(|execution| (execution, Instant::now()))
}

/// Does `work` until it is done, or a signal asks jobmon to stop. None if it was given up.
pub fn until_stopped<T>(driver: &Driver, watch: &mut StopWatch, work: impl Future<Output = T>) -> Option<T> {
    let events = watch.events_fd().and_then(own);
    driver.block_on(async {
        let events = events.and_then(watched);
        let mut work = pin!(work);
        loop {
            if watch.stop_request().is_some() {
                return None;
            }
            let Some(events) = &events else { return Some(work.await) };
            if let Either::Left(done) = either(&mut work, readable(events)).await {
                return Some(done);
            }
        }
    })
}

fn own(fd: BorrowedFd<'_>) -> Option<OwnedFd> {
    fd.try_clone_to_owned().ok()
}

/// The descriptor as the runtime watches it.
#[expect(deprecated, reason = "its unsafe successor asks for a descriptor that stays the same: an OwnedFd does")]
fn watched(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, tokio::io::Interest::READABLE).ok()
}

async fn readable(events: &AsyncFd<OwnedFd>) {
    match events.readable().await {
        Ok(mut guard) => guard.clear_ready(),
        // The descriptor was opened by this process and is closed by nobody else; should it fail all the same, the
        // supervisor is asked from time to time.
        Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
    }
}

enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Whichever is ready first; the first of the two if both are.
async fn either<A, B>(mut one: impl Future<Output = A> + Unpin, other: impl Future<Output = B>) -> Either<A, B> {
    let mut other = pin!(other);
    poll_fn(|context| {
        if let Poll::Ready(value) = pin!(&mut one).poll(context) {
            return Poll::Ready(Either::Left(value));
        }
        other.as_mut().poll(context).map(Either::Right)
    })
    .await
}
