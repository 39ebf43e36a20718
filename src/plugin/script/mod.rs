//! Rhai scripts: one file, one function, the host's functions under the names of `wit/`.
//!
//! In: the text of a script. Out: a [`Program`]. A script is parsed once; each call has a scope of its own, on a thread of
//! the [`Pool`], within CPU time, memory, operations and depth. Start at [`Scripts::load`] and [`Script::call`].

mod capped;
mod check;
mod common;
mod convert;
mod engine;
mod exporter;
mod fault;
mod http;
mod notifier;
mod numbers;
mod pool;
mod rule;
mod running;
mod series;
mod shown;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Finding, Timestamp};
use ports::{BoxFuture, Payload, Scrape, Target};
use rhai::{AST, Array, CallFnOptions, Dynamic, Engine, EvalAltResult, Map, Scope};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::host::Call;
use crate::program::{Loaded, Program, Ran};
use crate::told::Told;
use crate::{CallError, ErrorKind, Fault, Kind, LoadError};
use convert::{annotations_map, labels_map, time, to_text};
pub(crate) use fault::bytes;
use pool::Pool;
use running::{Bounds, Running};

/// What a script may still hold after its call, beside its answer: what the host keeps on its behalf.
const KEPT_BYTES: usize = 2 << 20;
/// What one finding or point of the answer may hold.
const ANSWER_BYTES: usize = 2048;

/// Everything that scripts share.
#[derive(Clone)]
pub(crate) struct Scripts(Arc<Shared>);

struct Shared {
    pool: Pool,
    handle: Handle,
    /// The language without host functions.
    bare: Engine,
    /// In the order of [`Kind::ALL`].
    engines: [Engine; 3],
}

impl Scripts {
    /// `handle` drives what the host does while a script waits.
    pub(crate) fn new(threads: usize, handle: Handle) -> Scripts {
        let engines = Kind::ALL.map(engine::of);
        Scripts(Arc::new(Shared { pool: Pool::new(threads), handle, bare: engine::bare(), engines }))
    }

    /// Parses a script and lets it describe itself.
    pub(crate) async fn load(&self, file: &str, bytes: Bytes) -> Result<Loaded, LoadError> {
        let scripts = self.clone();
        let name = file.to_owned();
        let loaded = self.on_thread(move || scripts.parse(&name, &bytes)).await;
        loaded.unwrap_or_else(|| Err(LoadError::new(file, "the script broke its interpreter")))
    }

    fn parse(&self, file: &str, bytes: &[u8]) -> Result<Loaded, LoadError> {
        let text = std::str::from_utf8(bytes).map_err(|problem| {
            LoadError::new(file, format!("this is neither a component nor UTF-8 text: {problem}"))
        })?;
        let shared = &self.0;
        let ast = shared.bare.compile(text).map_err(|error| fault::not_a_script(file, &error))?;
        let (kind, parameters) = kind(&ast).map_err(|message| LoadError::new(file, message))?;
        let running = Running::new(None, None, Bounds::DESCRIBE);
        let manifest = running
            .run(|| describe(&shared.bare, &ast))
            .map_err(|error| fault::not_described(file, &error, &running))?;
        let warnings = check::unknown_functions(&ast, self.engine(kind));
        let program = Script { scripts: self.clone(), ast: Arc::new(ast), parameters };
        Ok(Loaded { kind, manifest, program: Arc::new(program), warnings, text: Some(text.into()) })
    }

    fn engine(&self, kind: Kind) -> &Engine {
        let index = Kind::ALL.iter().position(|known| *known == kind).expect("`ALL` has all kinds");
        &self.0.engines[index]
    }

    /// Runs `work` on a script thread. `None` if it panicked.
    async fn on_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, finished) = oneshot::channel();
        self.0.pool.run(Box::new(move || {
            // Rhai's `sort` hands a script's own order to the standard library, which may panic on one that is none.
            if let Ok(answer) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = done.send(answer);
            }
        }));
        finished.await.ok()
    }
}

/// The one function that makes it a plugin, and how many parameters that has.
fn kind(ast: &AST) -> Result<(Kind, usize), String> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let parameters = ast.iter_functions().filter(|f| f.name == kind.function()).map(|f| f.params.len());
        found.extend(parameters.map(|count| (kind, count)));
    }
    match found.as_slice() {
        [(Kind::Rule, count @ 0..=1)] => Ok((Kind::Rule, *count)),
        [(kind @ (Kind::Exporter | Kind::Notifier), 1)] => Ok((*kind, 1)),
        [(kind, count)] => Err(format!(
            "`{}` has {count} parameters; it is {}",
            kind.function(),
            match kind {
                Kind::Rule => "`fn evaluate()`",
                Kind::Exporter => "`fn collect(target)`",
                Kind::Notifier => "`fn notify(notification)`",
            }
        )),
        [] => {
            Err("there is no function `evaluate` (a rule), `collect` (an exporter) or `notify` (a notifier)"
                .to_owned())
        }
        several => {
            let names: Vec<String> =
                several.iter().map(|(kind, _)| format!("`{}`", kind.function())).collect();
            Err(format!("there are {}; a plugin is one of them", names.join(" and ")))
        }
    }
}

/// The value of `META`.
fn describe(bare: &Engine, ast: &AST) -> Result<serde_json::Value, Box<EvalAltResult>> {
    let mut scope = Scope::new();
    bare.run_ast_with_scope(&mut scope, ast)?;
    match scope.get_value::<Map>("META") {
        Some(meta) => convert::to_json(&meta.into()),
        None => Err("there is no `const META = #{ name: … };`".into()),
    }
}

struct Script {
    scripts: Scripts,
    ast: Arc<AST>,
    parameters: usize,
}

impl Script {
    /// Calls the script's function on one of the threads; `answer` makes the answer of what it returned and said.
    async fn call<T: Send + 'static>(
        &self,
        call: Arc<Call>,
        argument: impl FnOnce() -> Dynamic + Send + 'static,
        answer: impl FnOnce(Dynamic, &Running) -> Result<(T, usize), CallError> + Send + 'static,
    ) -> Ran<T> {
        let scripts = self.scripts.clone();
        let (ast, parameters) = (Arc::clone(&self.ast), self.parameters);
        let on_thread = Arc::clone(&call);
        let ran = self
            .scripts
            .on_thread(move || {
                let bounds = Bounds::of(&on_thread.limits);
                let running =
                    Running::new(Some(Arc::clone(&on_thread)), Some(scripts.0.handle.clone()), bounds);
                let engine = scripts.engine(on_thread.profile.kind);
                let outcome = running.run(|| {
                    let arguments = if parameters == 0 { Vec::new() } else { vec![argument()] };
                    let options = CallFnOptions::new().eval_ast(false);
                    let function = on_thread.profile.kind.function();
                    engine.call_fn_with_options::<Dynamic>(
                        options,
                        &mut Scope::new(),
                        &ast,
                        function,
                        arguments,
                    )
                });
                let outcome = match outcome {
                    Ok(returned) => answer(returned, &running).and_then(|(answer, size)| {
                        leaks_nothing(&on_thread, &running, size).map(|()| answer)
                    }),
                    Err(error) => Err(fault::failed(&on_thread, &error, &running)),
                };
                Ran { outcome, cpu: running.cpu(), memory: running.peak() }
            })
            .await;
        ran.unwrap_or_else(|| Ran {
            outcome: Err(error(&call, "the script broke its interpreter")),
            cpu: Duration::ZERO,
            memory: 0,
        })
    }
}

/// A function that holds the variable that holds it is never freed: such a script must not run for long.
fn leaks_nothing(call: &Call, running: &Rc<Running>, answers: usize) -> Result<(), CallError> {
    let allowed = KEPT_BYTES + answers * ANSWER_BYTES;
    if usize::try_from(running.held()).unwrap_or(0) <= allowed {
        return Ok(());
    }
    Err(CallError {
        kind: ErrorKind::Limit,
        fault: Fault::Stopped,
        limit: Some("memory"),
        ..error(
            call,
            "left memory behind that nothing can free: a variable holds a function that holds the variable",
        )
    })
}

fn error(call: &Call, message: &str) -> CallError {
    CallError {
        plugin: call.profile.name.clone(),
        function: call.profile.kind.function(),
        kind: ErrorKind::Retryable,
        fault: Fault::Broken,
        message: message.to_owned(),
        limit: None,
        retry_after: None,
        place: None,
    }
}

impl Program for Script {
    fn evaluate(&self, call: Arc<Call>, at: Timestamp) -> BoxFuture<'_, Ran<Vec<Finding>>> {
        Box::pin(self.call(
            call,
            move || time(at),
            |_, running| {
                let findings = running.findings.take();
                let count = findings.len();
                Ok((findings, count))
            },
        ))
    }

    fn collect(&self, call: Arc<Call>, target: Arc<Target>) -> BoxFuture<'_, Ran<Scrape>> {
        Box::pin(self.call(
            call,
            move || target_map(&target),
            |_, running| {
                let points = running.points.take();
                let metadata: Vec<_> = running.families.take().into_iter().collect();
                let wire_bytes = points.iter().map(|point| 16 + point.labels.to_string().len()).sum();
                let count = points.len() + metadata.len();
                Ok((Scrape { payload: Payload::Points(points), metadata, wire_bytes }, count))
            },
        ))
    }

    fn notify(&self, call: Arc<Call>, told: Arc<Told>) -> BoxFuture<'_, Ran<Option<String>>> {
        Box::pin(self.call(
            call,
            move || told_map(&told),
            |returned, _| {
                let remember = (!returned.is_unit()).then(|| to_text(&returned));
                Ok((remember, 0))
            },
        ))
    }
}

fn target_map(target: &Target) -> Dynamic {
    let params = target.params.iter().map(|(name, values)| {
        let values: Array = values.iter().map(|value| value.as_str().into()).collect();
        (name.as_str().into(), values.into())
    });
    Map::from([
        ("address".into(), target.address.as_str().into()),
        ("labels".into(), labels_map(&target.labels).into()),
        ("params".into(), params.collect::<Map>().into()),
        ("timeout".into(), target.timeout.as_secs_f64().into()),
    ])
    .into()
}

fn told_map(told: &Told) -> Dynamic {
    let notification = &told.notification;
    let alert = |alert: &model::NotifiedAlert| -> Dynamic {
        Map::from([
            ("status".into(), alert.status.as_str().into()),
            ("labels".into(), labels_map(&alert.labels).into()),
            ("annotations".into(), annotations_map(&alert.annotations).into()),
            ("value".into(), alert.value.map_or(Dynamic::UNIT, Dynamic::from)),
            ("starts_at".into(), time(alert.starts_at)),
            ("ends_at".into(), alert.ends_at.map_or(Dynamic::UNIT, time)),
            ("fingerprint".into(), alert.fingerprint.to_string().into()),
            ("generator_url".into(), (&*alert.generator_url).into()),
        ])
        .into()
    };
    let previous = notification.previous.as_deref().map_or(Dynamic::UNIT, Into::into);
    Map::from([
        ("id".into(), (&*notification.id).into()),
        ("dedup_key".into(), (&*notification.dedup_key).into()),
        ("attempt".into(), i64::from(told.attempt).into()),
        ("status".into(), notification.status.as_str().into()),
        ("receiver".into(), (&*notification.receiver).into()),
        ("title".into(), told.title().into()),
        ("group_key".into(), (&*notification.group_key).into()),
        ("reason".into(), notification.reason.as_str().into()),
        ("group_labels".into(), labels_map(&notification.group_labels).into()),
        ("common_labels".into(), labels_map(&notification.common_labels).into()),
        ("common_annotations".into(), annotations_map(&notification.common_annotations).into()),
        ("alerts".into(), notification.alerts.iter().map(alert).collect::<Array>().into()),
        ("truncated".into(), 0_i64.into()),
        ("external_url".into(), (&*notification.external_url).into()),
        ("traceparent".into(), told.traceparent.as_str().into()),
        ("previous".into(), previous),
    ])
    .into()
}
