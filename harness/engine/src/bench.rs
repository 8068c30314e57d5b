//! What a scenario is given to work with, and nothing more.

use std::time::Duration;

use gsh_model::axis::Cell;
use gsh_model::outcome::SkipReason;
use gsh_model::scenario::ScenarioSpec;

use crate::BoxFuture;
use crate::cx::Cx;
use crate::failure::Failure;
use crate::installer::Installation;
use crate::provider::{Cluster, Node};
use crate::wait::Progress;

/// A scenario: data and a function. The catalogue is a slice of these.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// The data.
    pub spec: fn() -> ScenarioSpec,
    /// The function. Its future may be dropped at any point; what it created is undone through [`Bench::undo`].
    pub run: for<'a> fn(&'a Bench) -> BoxFuture<'a, Result<(), Failure>>,
}

/// What a scenario sees.
pub struct Bench {
    cx: Cx,
    cell: Cell,
    cluster: Cluster,
    installation: Installation,
    grow: Box<dyn Fn() -> BoxFuture<'static, Result<Node, Failure>> + Send + Sync>,
    undo: std::sync::Mutex<Vec<Undo>>,
}

/// One thing to undo.
pub struct Undo {
    /// What it undoes, for messages.
    pub what: String,
    /// How.
    pub work: BoxFuture<'static, Result<(), Failure>>,
}

impl Bench {
    /// A bench; `grow` asks the cell's own task for a node, so a dropped scenario tears no creation in two.
    #[must_use]
    pub fn new(
        cx: Cx,
        cell: Cell,
        cluster: Cluster,
        installation: Installation,
        grow: Box<dyn Fn() -> BoxFuture<'static, Result<Node, Failure>> + Send + Sync>,
    ) -> Self {
        Self { cx, cell, cluster, installation, grow, undo: std::sync::Mutex::new(Vec::new()) }
    }

    /// The context: stop, deadline, recorder.
    #[must_use]
    pub fn cx(&self) -> &Cx {
        &self.cx
    }

    /// The cell under examination.
    #[must_use]
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The installation.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Adds a node to the cluster.
    ///
    /// # Errors
    /// What the provider says.
    pub async fn grow(&self) -> Result<Node, Failure> {
        (self.grow)().await
    }

    /// Makes one observation and records it under a stable name. An error is recorded and handed back, so `?` ends the
    /// scenario where going on makes no sense.
    ///
    /// # Errors
    /// What the observation says.
    pub async fn check<T>(
        &self,
        code: &'static str,
        title: &str,
        look: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        self.cx.check(code, title, look).await
    }

    /// Records that an observation cannot be made here, for a reason known before looking.
    pub async fn skip(&self, code: &'static str, title: &str, reason: &str) {
        self.cx.skip(code, title, SkipReason(reason.to_owned())).await;
    }

    /// Waits until the probe is ready.
    ///
    /// # Errors
    /// The probe's own, or a time-out with this blame's code that tells the last thing seen.
    pub async fn wait<T, F, Fut>(&self, what: &str, patience: Duration, probe: F) -> Result<T, crate::wait::WaitError>
    where
        T: Send,
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<Progress<T>, Failure>> + Send,
    {
        crate::wait::until(&self.cx, what, patience, probe).await
    }

    /// Records something worth knowing.
    pub async fn note(&self, text: &str) {
        self.cx.note(text).await;
    }

    /// Keeps evidence.
    pub async fn keep(&self, name: &str, bytes: &[u8]) {
        self.cx.keep(name, bytes).await;
    }

    /// Registers how to undo something. Undone afterwards, last in first out, even when stopped.
    pub fn undo(&self, what: &str, work: impl Future<Output = Result<(), Failure>> + Send + 'static) {
        let mut undo = self.undo.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        undo.push(Undo { what: what.to_owned(), work: Box::pin(work) });
    }

    /// Takes what is to be undone, last in first.
    #[must_use]
    pub fn take_undo(&self) -> Vec<Undo> {
        let mut undo = self.undo.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut all: Vec<Undo> = undo.drain(..).collect();
        all.reverse();
        all
    }
}
