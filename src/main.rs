//! Foghorn: one alerting server in place of four.

mod cli {
    pub(crate) mod args;
    pub(crate) mod check;
    pub(crate) mod namesakes;
    pub(crate) mod plugin;
    pub(crate) mod query;
    pub(crate) mod say;
    pub(crate) mod serve;
    pub(crate) mod sink;
    pub(crate) mod test;
}

use std::process::ExitCode;

use clap::Parser as _;
use cli::args::{Cli, Verb};
use tikv_jemallocator::Jemalloc;

/// Counts what scripts allocate, so that they can be stopped. The system's allocator takes a lock for most of what one
/// thread allocates and another frees, as messages and samples are.
#[global_allocator]
static ALLOCATOR: plugin::CountingAllocator<Jemalloc> = plugin::CountingAllocator::over(Jemalloc);

/// The allocator's settings, which it looks for under this name: few arenas, since each keeps to itself what was freed in it,
/// and soon back to the kernel. `_RJEM_MALLOC_CONF` in the environment goes over it.
#[expect(
    unsafe_code,
    reason = "a name that is looked for from outside could be somebody else's; this one is the allocator's"
)]
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: &[u8; 63] = b"narenas:2,dirty_decay_ms:500,muzzy_decay_ms:0,lg_tcache_max:13\0";

fn main() -> ExitCode {
    let called = cli::namesakes::ours(std::env::args_os().collect());
    let (arguments, ignored) = match cli::serve::without_ignored(called.into_iter()) {
        Ok(split) => split,
        Err(refused) => {
            eprintln!("error: {refused}");
            return ExitCode::FAILURE;
        }
    };
    let cli = Cli::parse_from(arguments);
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(promql::STACK_BYTES)
        .build();
    let runtime = match threads {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.verb {
            None => cli::serve::run(cli.serve, &ignored).await,
            Some(Verb::Check(args)) => cli::check::run(&args),
            Some(Verb::Sink(args)) => cli::sink::run(args).await,
            Some(Verb::Plugin(args)) => cli::plugin::run(args).await,
            Some(Verb::Query(args)) => cli::query::run(args).await,
            Some(Verb::Test(verb)) => cli::test::run(verb).await,
        }
    });
    // Work that nobody waits for any more must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
