//! WebAssembly components.
//!
//! In: the bytes of a component. Out: a [`Program`]. A component is compiled once, kept on disk, and instantiated anew for
//! each call, so that a trap leaves nothing broken; only a notifier's instance may serve several messages of one
//! integration (`kept`). Start at [`Components::load`] and [`Component::call`].

mod bindings;
mod cache;
mod columns;
mod engine;
mod guest;
mod handed;
mod imports;
mod kept;
mod ticker;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Finding, Labels, Timestamp};
use ports::{BoxFuture, Scrape, Target};
use tokio::sync::Semaphore;
use wasmtime::component::{Instance, InstancePre, Linker};
use wasmtime::{Engine, Store};

use self::bindings::exports::foghorn::plugin as wit;
use self::bindings::foghorn::plugin::types;
use self::cache::Cache;
use self::columns::ScrapeError;
use self::guest::{Bounds, Guest, Run, broken};
use self::handed::Handed;
use self::kept::{KEPT_MAX, Kept, Waiting};
use self::ticker::Ticker;
use crate::host::Call;
use crate::limits::COMPILE_TIME;
use crate::program::{Loaded, Program, Ran};
use crate::told::Told;
use crate::{CallError, ErrorKind, Fault, Kind, LoadError};

const PACKAGE: &str = "foghorn:plugin/";

/// Everything that components share.
pub(crate) struct Components {
    shared: Arc<Shared>,
    /// In the order of [`Kind::ALL`].
    linkers: [Linker<Guest>; 3],
    cache: Option<Cache>,
}

struct Shared {
    engine: Engine,
    ticker: Ticker,
    /// How many run at once: what the pool has room for beside those that wait.
    slots: Semaphore,
    waiting: Waiting,
}

impl Components {
    pub(crate) fn new(at_once: usize, cache_dir: Option<&Path>) -> Result<Components, String> {
        let engine = engine::engine(at_once + KEPT_MAX)?;
        let link = |kind| {
            engine::linker(&engine, kind).map_err(|error| format!("components cannot be linked: {error}"))
        };
        let linkers = [link(Kind::ALL[0])?, link(Kind::ALL[1])?, link(Kind::ALL[2])?];
        let cache = cache_dir.and_then(|folder| {
            Cache::open(folder, &engine)
                .inspect_err(|error| {
                    tracing::warn!(folder = %folder.display(), %error, "Compiled components cannot be kept.");
                })
                .ok()
        });
        let shared = Shared {
            ticker: Ticker::start(&engine)?,
            slots: Semaphore::new(at_once),
            waiting: Waiting::default(),
            engine,
        };
        Ok(Components { shared: Arc::new(shared), linkers, cache })
    }

    /// Compiles a component and lets it describe itself.
    pub(crate) async fn load(&self, file: &str, bytes: Bytes, digest: &str) -> Result<Loaded, LoadError> {
        let wrong = |message: String| LoadError::new(file, message);
        let compiled = self.compile(bytes, digest).await.map_err(wrong)?;
        let kind = kind(&compiled, &self.shared.engine).map_err(wrong)?;
        imports(&compiled, &self.shared.engine, kind).map_err(|(message, hint)| match hint {
            Some(hint) => wrong(message).hint(hint),
            None => wrong(message),
        })?;
        let manifest = self.describe(file, &compiled).await?;
        let index = Kind::ALL.iter().position(|known| *known == kind).expect("`ALL` has all kinds");
        let prepared = self.linkers[index]
            .instantiate_pre(&compiled)
            .and_then(|pre| Ok((Function::of(kind, &pre)?, pre)))
            .map_err(|error| {
                wrong(format!("the component does not fit the interface: {}", error.root_cause()))
            })?;
        let (function, pre) = prepared;
        let component = Component { shared: Arc::clone(&self.shared), pre, function };
        Ok(Loaded { kind, manifest, program: Arc::new(component), warnings: Vec::new(), text: None })
    }

    /// From the cache, or compiled where it may take its time.
    async fn compile(&self, bytes: Bytes, digest: &str) -> Result<wasmtime::component::Component, String> {
        let (engine, cache, digest) = (self.shared.engine.clone(), self.cache.clone(), digest.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            if let Some(known) = cache.as_ref().and_then(|cache| cache.load(&engine, &digest)) {
                return Ok(known);
            }
            let compiled = wasmtime::component::Component::from_binary(&engine, &bytes)?;
            if let Some(cache) = &cache {
                cache.store(&digest, &compiled);
            }
            Ok::<_, wasmtime::Error>(compiled)
        });
        match tokio::time::timeout(COMPILE_TIME, work).await {
            Ok(Ok(Ok(compiled))) => Ok(compiled),
            Ok(Ok(Err(error))) => {
                Err(format!("this is not a component that can be run: {}", error.root_cause()))
            }
            Ok(Err(_)) => Err("the component broke its compiler".to_owned()),
            Err(_) => {
                Err(format!("the component was not compiled within {}", model::format_duration(COMPILE_TIME)))
            }
        }
    }

    async fn describe(
        &self,
        file: &str,
        compiled: &wasmtime::component::Component,
    ) -> Result<serde_json::Value, LoadError> {
        let wrong = |message: String| LoadError::new(file, message);
        let shared = &self.shared;
        let prepared = engine::describing_linker(&shared.engine, compiled)
            .and_then(|linker| linker.instantiate_pre(compiled))
            .and_then(|pre| Ok((wit::manifest::GuestIndices::new(&pre)?, pre)))
            .map_err(|error| wrong(format!("the component has no manifest: {}", error.root_cause())))?;
        let (indices, pre) = prepared;
        let _slot = shared.slots.acquire().await.expect("the semaphore is never closed");
        let _ticking = shared.ticker.ticking();
        let mut run = Run::new(&shared.engine, None, Bounds::DESCRIBE);
        let ran = run
            .run(file, "describe", async |store| {
                let instance = pre.instantiate_async(&mut *store).await?;
                let text = indices.load(&mut *store, &instance)?.call_describe(store).await?;
                Ok(Ok(text))
            })
            .await;
        let text = ran.outcome.map_err(|error| {
            let limit = error.limit.map_or_else(String::new, |limit| format!(" (limit `{limit}`)"));
            wrong(format!("`describe`: {}{limit}", error.message))
        })?;
        serde_json::from_str(&text)
            .map_err(|problem| wrong(format!("`describe` did not answer with JSON: {problem}")))
    }
}

/// The kind of which a component has the function.
fn kind(component: &wasmtime::component::Component, engine: &Engine) -> Result<Kind, String> {
    let component = component.component_type();
    let exports: Vec<&str> = component.exports(engine).map(|(name, _)| name).collect();
    let exported =
        |interface: &&str| exports.iter().any(|name| name.starts_with(&format!("{PACKAGE}{interface}@")));
    let has = |kind: &Kind| kind.interfaces().iter().any(exported);
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(has).collect();
    match kinds.as_slice() {
        [kind] => Ok(*kind),
        [] => Err(format!(
            "the component exports neither `{PACKAGE}rule`, `{PACKAGE}exporter` nor `{PACKAGE}notifier`"
        )),
        several => {
            let names: Vec<String> = several.iter().map(|kind| format!("`{PACKAGE}{kind}`")).collect();
            Err(format!("the component exports {}; a plugin is one of them", names.join(" and ")))
        }
    }
}

/// Refuses imports that `kind` does not have, with the reason where people ask for it.
fn imports(
    component: &wasmtime::component::Component,
    engine: &Engine,
    kind: Kind,
) -> Result<(), (String, Option<String>)> {
    for (name, _) in component.component_type().imports(engine) {
        let ours = name.strip_prefix(PACKAGE).map(|rest| rest.split('@').next().unwrap_or(rest));
        let allowed = match ours {
            Some(interface) => engine::allowed(kind).contains(&interface),
            None => name.starts_with("wasi:") && !name.starts_with("wasi:http/"),
        };
        if allowed {
            continue;
        }
        let hint = match (kind, ours) {
            (Kind::Rule, Some("http" | "secrets" | "mail")) => {
                Some("a rule has no network: an exporter fetches, and the rule queries what it has fetched")
            }
            (_, Some("query")) => Some("only a rule queries"),
            _ if name.starts_with("wasi:http/") => Some("use `foghorn:plugin/http`"),
            _ => None,
        };
        return Err((
            format!("the component imports `{name}`, which a {kind} does not have"),
            hint.map(str::to_owned),
        ));
    }
    Ok(())
}

/// Where the function of a kind is found in an instance.
enum Function {
    Rule(wit::rule::GuestIndices),
    Exporter(wit::exporter::GuestIndices),
    Notifier(wit::notifier::GuestIndices),
    LeanNotifier(wit::lean_notifier::GuestIndices),
}

impl Function {
    fn of(kind: Kind, pre: &InstancePre<Guest>) -> wasmtime::Result<Function> {
        Ok(match kind {
            Kind::Rule => Function::Rule(wit::rule::GuestIndices::new(pre)?),
            Kind::Exporter => Function::Exporter(wit::exporter::GuestIndices::new(pre)?),
            Kind::Notifier => match wit::lean_notifier::GuestIndices::new(pre) {
                Ok(indices) => Function::LeanNotifier(indices),
                Err(_) => Function::Notifier(wit::notifier::GuestIndices::new(pre)?),
            },
        })
    }
}

struct Component {
    shared: Arc<Shared>,
    pre: InstancePre<Guest>,
    function: Function,
}

impl Component {
    /// Calls the component's function in an instance of its own, or in one that has served this integration before.
    async fn call<T>(
        &self,
        call: &Arc<Call>,
        work: impl AsyncFnOnce(&mut Store<Guest>, Instance) -> wasmtime::Result<Result<T, CallError>>,
    ) -> Ran<T> {
        let profile = &call.profile;
        let function = profile.kind.function();
        let shared = &self.shared;
        let Some(_slot) = call.slot(&shared.slots).await else {
            let busy = broken(&profile.name, function, "too many components run at once".to_owned());
            return Ran {
                outcome: Err(CallError { fault: Fault::Reported, limit: Some("time"), ..busy }),
                cpu: Duration::ZERO,
                memory: 0,
            };
        };
        let _ticking = shared.ticker.ticking();
        let bounds = Bounds::of(profile.kind, &call.limits);
        let (mut run, mut instance, calls) = match shared.waiting.take(&call.terms) {
            Some(Kept { mut run, instance, calls, .. }) => {
                run.begin(Arc::clone(call), bounds);
                (run, Some(instance), calls)
            }
            None => (Run::new(&shared.engine, Some(Arc::clone(call)), bounds), None, 0),
        };
        let ran = run
            .run(&profile.name, function, async |store| {
                let instance = match instance {
                    Some(instance) => instance,
                    None => *instance.insert(self.pre.instantiate_async(&mut *store).await?),
                };
                work(store, instance).await
            })
            .await;
        if let (Kind::Notifier, Ok(_), Some(instance)) = (profile.kind, &ran.outcome, instance)
            && !run.has_written()
        {
            shared.waiting.put(Kept { run, instance, terms: Arc::clone(&call.terms), calls: calls + 1 });
        }
        ran
    }

    async fn notify_lean(
        &self,
        indices: &wit::lean_notifier::GuestIndices,
        call: &Arc<Call>,
        told: Arc<Told>,
    ) -> Ran<Option<String>> {
        self.call(call, async |store, instance| {
            let lean = match store.data_mut().lean.take() {
                Some(known) => known,
                // Its type is checked, which is not for every message of a storm.
                None => indices.load(&mut *store, &instance)?,
            };
            let guest = store.data_mut();
            (guest.told, guest.lean) = (Some(told), Some(lean.clone()));
            let told = lean.call_notify(store).await?;
            Ok(told.map_err(|error| reported(call, error)))
        })
        .await
    }

    /// The host only asks for what the kind has.
    fn wrong_kind<T>(call: &Call) -> Ran<T> {
        let error = broken(
            &call.profile.name,
            call.profile.kind.function(),
            "this is another kind of plugin".to_owned(),
        );
        Ran { outcome: Err(error), cpu: Duration::ZERO, memory: 0 }
    }
}

impl Program for Component {
    fn evaluate(&self, call: Arc<Call>, at: Timestamp) -> BoxFuture<'_, Ran<Vec<Finding>>> {
        Box::pin(async move {
            let Function::Rule(indices) = &self.function else { return Self::wrong_kind(&call) };
            let profile = Arc::clone(&call.profile);
            self.call(&call, async |store, instance| {
                let found =
                    indices.load(&mut *store, &instance)?.call_evaluate(store, at.as_millis()).await?;
                Ok(found.map_err(|error| reported(&call, error)).and_then(|found| {
                    let max = profile.limits.findings;
                    if found.len() > max {
                        let message = format!("found {} things wrong; {max} are allowed", found.len());
                        return Err(too_much(&call, "findings", message));
                    }
                    Ok(found.into_iter().map(finding).collect())
                }))
            })
            .await
        })
    }

    fn collect(&self, call: Arc<Call>, target: Arc<Target>) -> BoxFuture<'_, Ran<Scrape>> {
        Box::pin(async move {
            let Function::Exporter(indices) = &self.function else { return Self::wrong_kind(&call) };
            let max = call.profile.limits.points;
            let labels: Vec<(&str, &str)> = target.labels.iter().collect();
            let values: Vec<Vec<&str>> =
                target.params.iter().map(|(_, values)| values.iter().map(String::as_str).collect()).collect();
            let params: Vec<(&str, &[&str])> =
                target.params.iter().zip(&values).map(|((name, _), values)| (&**name, &**values)).collect();
            self.call(&call, async |store, instance| {
                let target = wit::exporter::Target {
                    address: &target.address,
                    labels: &labels,
                    params: &params,
                    timeout: u64::try_from(call.left().as_millis()).unwrap_or(u64::MAX),
                    extra: &[],
                };
                let collected = indices.load(&mut *store, &instance)?.call_collect(store, target).await?;
                let exposition = match collected {
                    Ok(exposition) => exposition,
                    Err(error) => return Ok(Err(reported(&call, error))),
                };
                Ok(columns::scrape(exposition, max).map_err(|error| match error {
                    ScrapeError::TooMany(count) => {
                        too_much(&call, "points", format!("has {count} points; {max} are allowed"))
                    }
                    ScrapeError::Odd(what) => broken(
                        &call.profile.name,
                        call.profile.kind.function(),
                        format!("answered with an exposition that {what}"),
                    ),
                }))
            })
            .await
        })
    }

    fn notify(&self, call: Arc<Call>, told: Arc<Told>) -> BoxFuture<'_, Ran<Option<String>>> {
        Box::pin(async move {
            let indices = match &self.function {
                Function::Notifier(indices) => indices,
                Function::LeanNotifier(indices) => return self.notify_lean(indices, &call, told).await,
                Function::Rule(_) | Function::Exporter(_) => return Self::wrong_kind(&call),
            };
            let handed = Handed::new(&told);
            let (alerts, extra) = (handed.alerts(), handed.extra());
            self.call(&call, async |store, instance| {
                store.data_mut().told = Some(Arc::clone(&told));
                let notification = handed.notification(&alerts, &extra);
                let told = indices.load(&mut *store, &instance)?.call_notify(store, notification).await?;
                Ok(told.map_err(|error| reported(&call, error)))
            })
            .await
        })
    }
}

fn too_much(call: &Call, limit: &'static str, message: String) -> CallError {
    CallError {
        kind: ErrorKind::Limit,
        fault: Fault::Stopped,
        limit: Some(limit),
        ..broken(&call.profile.name, call.profile.kind.function(), message)
    }
}

/// An error that the component has returned.
fn reported(call: &Call, error: types::Error) -> CallError {
    let kind = match error.kind {
        types::ErrorKind::Retryable => ErrorKind::Retryable,
        types::ErrorKind::RateLimited => ErrorKind::RateLimited,
        types::ErrorKind::Permanent => ErrorKind::Permanent,
        types::ErrorKind::Unauthorized => ErrorKind::Unauthorized,
        types::ErrorKind::Config => ErrorKind::Config,
        types::ErrorKind::Denied => ErrorKind::Denied,
        types::ErrorKind::Limit => ErrorKind::Limit,
    };
    let message: String = call.redact_text(&error.message).chars().take(2000).collect();
    CallError {
        kind,
        fault: if kind == ErrorKind::Limit { Fault::Stopped } else { Fault::Reported },
        retry_after: error
            .retry_after
            .map(Duration::from_millis)
            .filter(|_| matches!(kind, ErrorKind::Retryable | ErrorKind::RateLimited)),
        ..broken(&call.profile.name, call.profile.kind.function(), message)
    }
}

fn finding(found: wit::rule::Finding) -> Finding {
    Finding {
        labels: Labels::from_pairs(found.labels).without_name(),
        value: found.value,
        annotations: found.annotations.into_iter().collect(),
    }
}
