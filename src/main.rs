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

/// Counts what scripts allocate, so that they can be stopped.
#[global_allocator]
static ALLOCATOR: plugin::CountingAllocator = plugin::CountingAllocator::system();

fn main() -> ExitCode {
    plugin::few_arenas();
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
