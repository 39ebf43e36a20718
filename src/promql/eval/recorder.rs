//! Counts samples, and keeps the account of an evaluation if one is wanted.

use crate::ast::{Expr, Node, Span};
use crate::{EvalOptions, Explain, NanoClock, QuerySamples};

/// What the evaluator tells about its work.
pub(super) struct Recorder {
    samples: QuerySamples,
    /// Whether steps are counted at the moment: not inside of subqueries.
    by_step: bool,
    explain: Option<Account>,
    /// The most samples held since the last question.
    peak: usize,
}

struct Account {
    clock: NanoClock,
    /// The nodes under evaluation, outermost first.
    open: Vec<Open>,
    finished: Option<Explain>,
}

struct Open {
    node: Explain,
    began: u64,
    read_before: u64,
    peak_before: usize,
}

/// How steps were counted before a subquery.
pub(super) struct Counting {
    by_step: bool,
    total: u64,
}

impl Recorder {
    pub(super) fn new(options: &EvalOptions, steps: usize) -> Self {
        let per_step = if options.per_step { vec![0; steps] } else { Vec::new() };
        let explain = options.explain.clone();
        Recorder {
            samples: QuerySamples { per_step, ..QuerySamples::default() },
            by_step: options.per_step,
            explain: explain.map(|clock| Account { clock, open: Vec::new(), finished: None }),
            peak: 0,
        }
    }

    pub(super) fn finish(self) -> (QuerySamples, Option<Explain>) {
        (self.samples, self.explain.and_then(|account| account.finished))
    }

    /// `samples` were given to a step.
    #[inline]
    pub(super) fn count_at(&mut self, step: usize, samples: u64) {
        self.samples.total += samples;
        if self.by_step
            && let Some(count) = self.samples.per_step.get_mut(step)
        {
            *count += samples;
        }
    }

    /// So many samples are held now.
    #[inline]
    pub(super) fn holds(&mut self, live: usize) {
        if live > self.peak {
            self.peak = live;
            self.samples.peak = self.samples.peak.max(live as u64);
        }
    }

    /// Inside of a subquery other steps count than those of the query.
    pub(super) fn enter_subquery(&mut self) -> Counting {
        Counting { by_step: std::mem::take(&mut self.by_step), total: self.samples.total }
    }

    pub(super) fn leave_subquery(&mut self, before: Counting) {
        self.by_step = before.by_step;
        // What its values were made of does not count: the windows over it do.
        self.samples.total = before.total;
    }

    /// What was evaluated at one step stands for all `steps`.
    pub(super) fn repeat(&mut self, before: Counting, steps: usize) {
        self.by_step = before.by_step;
        let once = self.samples.total - before.total;
        self.samples.total += once.saturating_mul(steps as u64 - 1);
        if self.by_step {
            self.samples.per_step.iter_mut().for_each(|count| *count += once);
        }
    }

    /// The time, if it matters.
    pub(super) fn now(&self) -> u64 {
        self.explain.as_ref().map_or(0, |account| account.clock.now())
    }

    pub(super) fn explains(&self) -> bool {
        self.explain.is_some()
    }

    /// A series was read from the store.
    pub(super) fn has_read(&mut self, began: u64, samples: usize) {
        self.samples.read += samples as u64;
        let Some(account) = &mut self.explain else { return };
        let nanos = account.clock.now().saturating_sub(began);
        if let Some(open) = account.open.last_mut()
            && let Some(range) = open.node.children.first_mut().filter(|child| child.kind == "range")
        {
            range.nanos += nanos;
            range.samples += samples as u64;
            range.series += 1;
        }
    }

    /// The evaluation of `expr` begins.
    pub(super) fn begin(&mut self, expr: &Expr) {
        let (read_before, peak_before) = (self.samples.read, std::mem::take(&mut self.peak));
        let Some(account) = &mut self.explain else { return };
        let mut node =
            Explain { text: expr.to_string(), span: expr.span, kind: kind(expr), ..Explain::default() };
        // A range vector is not evaluated by itself: it gets its account from its reader.
        let range = expr
            .children()
            .into_iter()
            .find(|child| matches!(child.without_parens().node, Node::Range { .. }));
        node.children.extend(range.map(|range| range_of(range, range.span)));
        account.open.push(Open { node, began: account.clock.now(), read_before, peak_before });
    }

    /// … and ends, with this many series and values. `elsewhere`: nanoseconds spent on other nodes meanwhile.
    pub(super) fn end(&mut self, series: usize, values: usize, elsewhere: u64) {
        let Some(account) = &mut self.explain else { return };
        let Some(Open { mut node, began, read_before, peak_before }) = account.open.pop() else { return };
        node.nanos = account.clock.now().saturating_sub(began).saturating_sub(elsewhere);
        (node.series, node.values) = (series as u64, values as u64);
        node.samples = self.samples.read - read_before;
        node.peak = self.peak as u64;
        self.peak = self.peak.max(peak_before);
        match account.open.last_mut() {
            Some(parent) => parent.node.children.push(node),
            None => account.finished = Some(node),
        }
    }
}

fn range_of(range: &Expr, span: Span) -> Explain {
    Explain { text: range.to_string(), span, kind: "range", ..Explain::default() }
}

fn kind(expr: &Expr) -> &'static str {
    match &expr.node {
        Node::Number { .. } => "number",
        Node::String(_) => "string",
        Node::Selector(_) => "selector",
        Node::Range { .. } => "range",
        Node::Subquery { .. } => "subquery",
        Node::Call { function, .. } => function.name,
        Node::Aggregate { op, .. } => op.as_str(),
        Node::Binary { op, .. } => op.as_str(),
        Node::Unary { .. } => "sign",
        Node::Paren(_) => "parens",
    }
}
