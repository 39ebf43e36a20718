//! From nothing to a server that answers, and back.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use alerting::MatcherMode;
use api::{Access, Api, Assets, CorsOrigin, LoopbackListener, Open};
use config::LoadOptions;
use journal::{DataDir, LocalCoord, LocalCoordOptions, Shutdown};
use model::Secret;
use notify::Outbox;
use plugin::{HostDeps, HostOptions, PluginHost};
use ports::{Clock, Collector, Coord};
use promql::ParseOptions;
use rules::RestoreLimits;
use scrape::{ScrapeManager, SelfCollector};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tsdb::{Tsdb, TsdbOptions};

use crate::alerting_task::{AlertingHandle, Wake, spawn_alerting};
use crate::deliveries::Deliveries;
use crate::delivery_thread::DeliveryThread;
use crate::map::AlertingOptions;
use crate::metrics::ReloadState;
use crate::others::OtherAlertmanagers;
use crate::ownership::{self, Owned};
use crate::query::{QueryEngine, QueryLimits};
use crate::request_target::ForgivingListener;
use crate::rule_task::{RuleSettings, RuleTasks, RuleWorld};
use crate::running::{Running, read_config};
use crate::scripts::{LOOK_EVERY, Scripts};
use crate::web::{Gate, Peer, Web, gate};
use crate::{HttpOutgoing, SystemClock, SystemRandom, map};

/// Alerts of rules that may wait for the alerting task, in batches of one evaluation.
const ALERT_BATCHES: usize = 256;
/// Outcomes of deliveries that may wait.
const REPORTS: usize = 1024;
/// How long deliveries under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How often samples are made durable.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often what is too old is let go.
const RETAIN_EVERY: Duration = Duration::from_secs(60);
const FIFTEEN_DAYS: Duration = Duration::from_secs(15 * 86_400);

/// How the server is to run: the command line, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Configuration files, merged.
    pub config_files: Vec<PathBuf>,
    /// Where data is kept.
    pub data: PathBuf,
    /// How long samples are kept, unless the configuration says otherwise.
    pub retention: Option<Duration>,
    /// Series that may be in memory at once.
    pub series_max: usize,
    /// Addresses of the page and both APIs.
    pub listen: Vec<String>,
    /// Address of the second listener; `None` for none.
    pub alertmanager_listen: Option<String>,
    /// Whether a second listener that cannot be had ends the start.
    pub alertmanager_required: bool,
    /// Our address as others see it.
    pub external_url: Option<String>,
    /// Path in front of everything.
    pub route_prefix: Option<String>,
    /// The file of TLS and passwords of our listeners.
    pub web_config: Option<PathBuf>,
    /// Whether `/-/reload` and `/-/quit` may be called.
    pub lifecycle: bool,
    /// Which changes need no token.
    pub open: Open,
    /// The page.
    pub assets: Assets,
    /// Where scripts are dropped.
    pub scripts: PathBuf,
    /// Where compiled components are kept.
    pub plugin_cache: PathBuf,
    /// What bounds a query.
    pub query: QueryLimits,
    /// Whether samples of other servers are taken.
    pub remote_write: bool,
    /// Which pages of other sites may read.
    pub cors: CorsOrigin,
    /// Whether `stats=all` counts samples by step.
    pub per_step_stats: bool,
    /// Which parts of PromQL are allowed.
    pub promql: ParseOptions,
    /// Which matchers and label names Alertmanager's part takes.
    pub matcher_mode: MatcherMode,
    /// How alerts come back after a restart.
    pub restore: RestoreLimits,
    /// How often a firing alert is sent again.
    pub resend_delay: Duration,
    /// What the command line says of alerting.
    pub alerting: AlertingOptions,
    /// The command line, to be shown.
    pub flags: Vec<(String, String)>,
}

impl Options {
    /// What the command line gives without flags, but for the port: whichever is free, on this machine alone.
    pub fn new(config_files: Vec<PathBuf>, data: PathBuf) -> Self {
        Options {
            config_files,
            retention: None,
            series_max: 10_000_000,
            listen: vec!["127.0.0.1:0".to_owned()],
            alertmanager_listen: None,
            alertmanager_required: false,
            external_url: None,
            route_prefix: None,
            web_config: None,
            lifecycle: false,
            open: Open::Nothing,
            assets: Assets::from_packed(std::iter::empty()),
            scripts: data.join("scripts"),
            plugin_cache: data.join("cache/plugins"),
            query: QueryLimits::default(),
            remote_write: false,
            cors: CorsOrigin::default(),
            per_step_stats: false,
            promql: ParseOptions::default(),
            matcher_mode: MatcherMode::default(),
            restore: RestoreLimits::default(),
            resend_delay: Duration::from_secs(60),
            alerting: AlertingOptions::default(),
            flags: Vec::new(),
            data,
        }
    }
}

/// A server that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// The data directory cannot be used.
    #[error("{0}")]
    Data(String),
    /// An address cannot be had.
    #[error("cannot listen on {address}: {source}; end the other program or choose an address with {flag}")]
    Listen {
        /// Which address.
        address: String,
        /// How to choose another.
        flag: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something else.
    #[error("{0}")]
    Other(String),
}

fn data_error(error: impl std::fmt::Display) -> StartError {
    StartError::Data(error.to_string())
}

/// Runs the server until `shutdown` is done or somebody asks it to quit. `reload` is a stream of signals to read the
/// configuration again.
pub async fn run(
    options: Options,
    shutdown: impl Future<Output = ()>,
    reload: mpsc::Receiver<()>,
) -> Result<(), StartError> {
    let server = Server::start(options).await?;
    let scheme = server.scheme;
    for address in server.pages() {
        println!("Foghorn page: {scheme}://{address}{}/", server.route_prefix);
    }
    if let Some(address) = server.alertmanager() {
        println!("Foghorn alertmanager api: {scheme}://{address}");
    }
    server.run(shutdown, reload).await
}

/// A server that answers. Dropped, it ends as a process does that is killed; [`Server::run`] ends it in order.
pub struct Server {
    running: Arc<Running>,
    data: DataDir,
    pages: Vec<SocketAddr>,
    alertmanager: Option<SocketAddr>,
    scheme: &'static str,
    route_prefix: String,
    alerting: AlertingHandle,
    alert_feed: JoinHandle<()>,
    /// Everything that ends by itself once it is told to stop.
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// The addresses of the page and both APIs, in the order of the options.
    pub fn pages(&self) -> &[SocketAddr] {
        &self.pages
    }

    /// The address of the second listener.
    pub fn alertmanager(&self) -> Option<SocketAddr> {
        self.alertmanager
    }

    /// Reads the configuration and the stored data, and starts everything.
    pub async fn start(options: Options) -> Result<Server, StartError> {
        let load_options = LoadOptions {
            matcher_mode: options.matcher_mode,
            promql: options.promql.clone(),
            ..LoadOptions::default()
        };
        let config = read_config(&options.config_files, &load_options)
            .map_err(|problems| StartError::Config(problems.to_string()))?;
        let web = options.web_config.as_deref().map(open_web).transpose()?;
        let scheme = if web.as_ref().is_some_and(|web| web.speaks_tls()) { "https" } else { "http" };
        let listeners = bind(&options).await?;
        let alertmanager_listener = bind_alertmanager(&options).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started = clock.now();

        // The past.
        let data = DataDir::open(&options.data).map_err(data_error)?;
        let last = data.last_shutdown();
        let disk: Arc<dyn ports::Disk> = data.disk();
        let retention = options.retention.or(config.storage.retention_time).unwrap_or(FIFTEEN_DAYS);
        let tsdb_options =
            TsdbOptions { retention, series_max: Some(options.series_max), ..TsdbOptions::default() };
        let opened = Arc::clone(&disk);
        let (store, replayed) =
            blocking(move || Tsdb::open(opened, tsdb_options)).await?.map_err(data_error)?;
        let store = Arc::new(store);
        let coord_disk = Arc::clone(&disk);
        let (local, coord_replay) = blocking(move || {
            LocalCoord::open(coord_disk, Path::new("journal/alerting"), LocalCoordOptions::default())
        })
        .await?
        .map_err(data_error)?;
        let owner = uuid::Uuid::new_v4().to_string();
        let coord: Arc<dyn Coord> = Arc::new(Owned::new(Arc::new(local), &owner));
        let records = coord.load().map_err(data_error)?;
        let corruptions = replayed.damaged().count() as u64 + coord_replay.damaged.len() as u64;
        let replay = match last {
            Shutdown::First => String::new(),
            _ => format!(
                "The last stop was {}clean: {} samples of {} series read back, {corruptions} damaged parts.",
                if last == Shutdown::Unclean { "not " } else { "" },
                replayed.samples,
                replayed.series,
            ),
        };
        tracing::info!(
            samples = replayed.samples,
            series = replayed.series,
            damaged = corruptions,
            last_stop = ?last,
            "Stored data was read."
        );

        // The parts.
        let random = Arc::new(SystemRandom);
        let outgoing = Arc::new(HttpOutgoing::new());
        let engine = Arc::new(QueryEngine::new(
            store.clone(),
            options.query.clone(),
            options.promql.clone(),
            clock.clone(),
        ));
        let host = PluginHost::new(
            HostDeps {
                outgoing: outgoing.clone(),
                clock: clock.clone(),
                random: random.clone(),
                state: Some(coord.clone()),
                cache_dir: Some(options.plugin_cache.clone()),
            },
            HostOptions::default(),
        )
        .map_err(data_error)?;
        let running_cell: Arc<OnceLock<std::sync::Weak<Running>>> = Arc::new(OnceLock::new());
        let scrape = scrape_manager(&store, &outgoing, &clock, &host, &running_cell);
        let (reports_tx, reports) = mpsc::channel(REPORTS);
        let delivery_thread = DeliveryThread::start()
            .inspect_err(|error| tracing::warn!(%error, "Deliveries have no thread of their own."))
            .ok();
        let outbox = Outbox::new(reports_tx, random);
        let outbox = Arc::new(match &delivery_thread {
            Some(thread) => outbox.on(thread.handle()),
            None => outbox,
        });
        let deliveries = Arc::new(Deliveries::default());
        let external_url = external_url(&options, scheme, listeners.first().map(|(_, address)| *address));
        let alerting_config = Arc::new(map::alerting_config(&config, &external_url, &options.alerting));
        let alerting_records: Vec<_> = records
            .iter()
            .filter(|(key, _)| {
                key != ownership::KEY && !key.starts_with(b"rules/") && !key.starts_with(b"plugin/")
            })
            .cloned()
            .collect();
        let mut restored = alerting::Alerting::restore(alerting_config, clock.now(), alerting_records);
        for (key, error) in &restored.problems {
            tracing::error!(key = %String::from_utf8_lossy(key), %error, "A record of alert state cannot be read; it is left where it is.");
        }
        let first = restored.alerting.step(clock.now(), alerting::Event::Tick);
        let (alerts_tx, mut alerts_rx) = mpsc::channel(ALERT_BATCHES);
        let rules = RuleTasks::new(
            RuleWorld {
                engine: engine.clone(),
                append: store.clone(),
                store: store.clone(),
                coord: coord.clone(),
                clock: clock.clone(),
                alerts: alerts_tx,
                resend_delay: options.resend_delay,
                restore: options.restore,
                settings: RwLock::new(Arc::new(RuleSettings::default())),
            },
            &records,
            store.stats().newest.unwrap_or(model::Timestamp::MIN),
        );
        let (ready, _) = watch::channel(false);
        let (quit, _) = watch::channel(false);
        let (alerting, alerting_task) = spawn_alerting(
            restored.alerting,
            first,
            clock.clone(),
            coord.clone(),
            outbox.clone(),
            reports,
            deliveries.clone(),
        );
        let to_alerting = alerting.clone();
        let own = listeners.iter().chain(&alertmanager_listener).map(|(_, address)| *address).collect();
        let others = Arc::new(OtherAlertmanagers::new(outgoing.clone(), own));
        let to_others = Arc::clone(&others);
        let alert_feed = tokio::spawn(async move {
            while let Some(alerts) = alerts_rx.recv().await {
                to_others.send(&alerts);
                to_alerting.send(Wake::Evaluated(alerts)).await;
            }
        });
        let running = Arc::new(Running {
            clock: clock.clone(),
            store: store.clone(),
            receiver: options
                .remote_write
                .then(|| Arc::new(remote::Receiver::new(store.clone(), remote::Limits::default()))),
            engine,
            scripts: Scripts::new(host.clone(), options.scripts.clone()),
            host,
            scrape,
            rules,
            alerting: alerting.clone(),
            outbox,
            _delivery_thread: delivery_thread,
            deliveries,
            traffic: Arc::default(),
            others,
            applied: RwLock::new(Arc::new(config.clone())),
            config_files: options.config_files.clone(),
            load_options,
            external_url: external_url.clone(),
            alerting_options: options.alerting.clone(),
            flags: options.flags.clone(),
            started,
            replay,
            corruptions,
            clean_start: last != Shutdown::Unclean,
            retention,
            reloads: ReloadState::new(started),
            ready,
            quit,
            reloading: tokio::sync::Mutex::default(),
        });
        // The cell is new: nobody else has filled it.
        let _ = running_cell.set(Arc::downgrade(&running));
        running.apply(config).await.map_err(StartError::Config)?;

        // The world.
        let api = Arc::new(Api {
            clock: clock.clone(),
            queries: running.engine.clone(),
            store: store.clone(),
            views: running.clone(),
            control: running.clone(),
            access: Access { token: admin_token(&options.data)?, open: options.open, ..Access::default() },
            assets: options.assets.clone(),
            external_url: external_url.clone(),
            route_prefix: options.route_prefix.clone().unwrap_or_default(),
            lifecycle: options.lifecycle,
            per_step_stats: options.per_step_stats,
            traffic: Arc::clone(&running.traffic),
            matcher_mode: options.matcher_mode,
            cors: options.cors.clone(),
            receiver: running.receiver.clone(),
        });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        let mut pages = Vec::new();
        for (listener, address) in listeners {
            pages.push(address);
            tasks.push(serve(listener, address, web.clone(), api::router(api.clone()), stopped.clone()));
        }
        let alertmanager = alertmanager_listener.as_ref().map(|(_, address)| *address);
        if let Some((listener, address)) = alertmanager_listener {
            let router = api::alertmanager_router(api.clone());
            tasks.push(serve(listener, address, web, router, stopped.clone()));
        }
        tasks.push(tokio::spawn(keep_house(store, clock, stopped.clone())));
        tasks.push(tokio::spawn(watch_scripts(running.clone(), stopped)));
        tasks.push(alerting_task);
        running.ready.send_replace(true);
        tracing::info!(page = %external_url, "Foghorn is ready.");
        Ok(Server {
            running,
            data,
            pages,
            alertmanager,
            scheme,
            route_prefix: options.route_prefix.unwrap_or_default(),
            alerting,
            alert_feed,
            tasks,
            stop,
        })
    }

    /// Goes on until `shutdown` is done or somebody asks it to quit, then stops in order.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()>,
        mut reload: mpsc::Receiver<()>,
    ) -> Result<(), StartError> {
        let Server { running, data, alerting, alert_feed, tasks, stop, .. } = self;
        let mut quit_asked = running.quit.subscribe();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = asked_to_quit(&mut quit_asked) => break,
                Some(()) = reload.recv() => {
                    // What went wrong was logged.
                    let _ = running.reload_files().await;
                }
            }
        }

        // Back to nothing, in the direction of the flow: targets, rules, alerting, deliveries, disk.
        tracing::info!("Stopping.");
        running.ready.send_replace(false);
        stop.send_replace(true);
        running.scrape.shutdown().await;
        running.rules.shutdown().await;
        alert_feed.abort();
        tokio::join!(running.outbox.shutdown(DRAIN), running.others.drain(DRAIN));
        alerting.send(Wake::Stop).await;
        for task in tasks {
            // A task that panicked has said so on its own.
            let _ = task.await;
        }
        let closing = running.store.clone();
        blocking(move || closing.close()).await?.map_err(data_error)?;
        data.mark_clean().map_err(data_error)?;
        tracing::info!("Stopped.");
        Ok(())
    }
}

/// Waits until somebody asks; forever if nobody can.
async fn asked_to_quit(quit: &mut watch::Receiver<bool>) {
    if quit.wait_for(|asked| *asked).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StartError::Other(format!("the start broke off: {error}")))
}

fn scrape_manager(
    store: &Arc<Tsdb>,
    outgoing: &Arc<HttpOutgoing>,
    clock: &Arc<dyn Clock>,
    host: &Arc<PluginHost>,
    running: &Arc<OnceLock<std::sync::Weak<Running>>>,
) -> ScrapeManager {
    let cell = Arc::clone(running);
    let own: Arc<dyn Collector> = Arc::new(SelfCollector::new(move || {
        let running = cell.get().and_then(std::sync::Weak::upgrade);
        Box::pin(async move {
            let points = match running {
                Some(running) => running.points().await,
                None => Vec::new(),
            };
            let names: std::collections::BTreeSet<&str> =
                points.iter().map(|p| p.labels.metric_name()).collect();
            let metadata =
                names.into_iter().map(|name| (name.to_owned(), crate::metrics::metadata(name))).collect();
            (points, metadata)
        })
    }));
    let host = Arc::clone(host);
    ScrapeManager::new(
        store.clone(),
        outgoing.clone(),
        clock.clone(),
        Arc::new(move |name| Running::collector(&host, &own, name)),
    )
}

async fn bind(options: &Options) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut listeners = Vec::new();
    for address in &options.listen {
        let failed =
            |source| StartError::Listen { address: address.clone(), flag: "--web.listen-address", source };
        let listener = TcpListener::bind(with_host(address)).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        listeners.push((listener, bound));
    }
    Ok(listeners)
}

/// Prometheus' and Alertmanager's own spelling for "every address": `:9090`.
fn with_host(address: &str) -> String {
    if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() }
}

async fn bind_alertmanager(options: &Options) -> Result<Option<(TcpListener, SocketAddr)>, StartError> {
    let Some(address) = &options.alertmanager_listen else { return Ok(None) };
    let flag = "--web.alertmanager-listen-address";
    let bound = match TcpListener::bind(with_host(address)).await {
        Ok(listener) => listener.local_addr().map(|bound| (listener, bound)),
        Err(error) => Err(error),
    };
    match bound {
        Ok(bound) => Ok(Some(bound)),
        Err(source) if options.alertmanager_required => {
            Err(StartError::Listen { address: address.clone(), flag, source })
        }
        Err(error) => {
            tracing::warn!(%address, %error, "No second listener for Alertmanager's API; it is on the first one, too.");
            Ok(None)
        }
    }
}

fn external_url(options: &Options, scheme: &str, bound: Option<SocketAddr>) -> String {
    if let Some(url) = &options.external_url {
        return url.trim_end_matches('/').to_owned();
    }
    let Some(address) = bound else { return String::new() };
    let host = if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    };
    format!("{scheme}://{host}{}", options.route_prefix.as_deref().unwrap_or_default())
}

/// The file of TLS and passwords, which has to be right at the start.
fn open_web(path: &Path) -> Result<Arc<Web>, StartError> {
    let (web, warnings) = Web::open(path).map_err(StartError::Config)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(web))
}

fn serve(
    listener: TcpListener,
    address: SocketAddr,
    web: Option<Arc<Web>>,
    router: axum::Router,
    mut stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let router = router
        .layer(axum::Extension(LoopbackListener(address.ip().is_loopback())))
        .layer(axum::middleware::from_fn_with_state(Gate(web.clone()), gate));
    tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<Peer>();
        let stop = async move {
            // The sender goes away only after it said so.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let listener = ForgivingListener::new(listener, web);
        if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "A listener ended.");
        }
    })
}

/// Makes samples durable each second, and lets go each minute of what is too old.
async fn keep_house(store: Arc<Tsdb>, clock: Arc<dyn Clock>, mut stopped: watch::Receiver<bool>) {
    let mut sync = tokio::time::interval(SYNC_EVERY);
    let mut retain = tokio::time::interval(RETAIN_EVERY);
    loop {
        let (store, now) = (store.clone(), clock.now());
        let done = tokio::select! {
            _ = sync.tick() => tokio::task::spawn_blocking(move || store.sync()).await,
            _ = retain.tick() => tokio::task::spawn_blocking(move || store.retain(now)).await,
            _ = stopped.changed() => return,
        };
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "Samples were not made durable; free some space on the disk.")
            }
            Err(error) => tracing::error!(%error, "Housekeeping broke off."),
        }
    }
}

async fn watch_scripts(running: Arc<Running>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => running.look_at_scripts().await,
            _ = stopped.changed() => return,
        }
    }
}

/// The token that writes from outside need; made at the first start, readable by its owner alone.
fn admin_token(data: &Path) -> Result<Secret<String>, StartError> {
    let path = data.join("admin-token");
    match std::fs::read_to_string(&path) {
        Ok(token) if !token.trim().is_empty() => return Ok(Secret::new(token.trim().to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(StartError::Data(format!("`{}` cannot be read: {error}", path.display()))),
    }
    let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let failed =
        |error: std::io::Error| StartError::Data(format!("`{}` cannot be written: {error}", path.display()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(&path).map_err(failed)?, token.as_bytes()).map_err(failed)?;
    tracing::info!(path = %path.display(), "A token for changes from outside this machine was made.");
    Ok(Secret::new(token))
}
