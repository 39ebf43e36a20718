//! Look-ups in the store that take a while, on threads of their own.

use std::sync::Arc;

use ports::{Select, SelectError};
use tokio::sync::Semaphore;

/// So many at the same time; more wait for their turn, and hold neither a thread nor memory meanwhile.
const LOOKS_MAX: usize = 16;

/// One for the process: the threads are the process's too.
static TURNS: Semaphore = Semaphore::const_new(LOOKS_MAX);

/// Looks something up on a thread that may block: with a million series that takes a while, and the threads that all others
/// share must not wait for it.
pub async fn aside<T, F>(store: Arc<dyn Select>, look: F) -> Result<T, SelectError>
where
    T: Send + 'static,
    F: AsyncFnOnce(Arc<dyn Select>) -> Result<T, SelectError> + Send + 'static,
{
    // Nobody closes it.
    let turn = TURNS.acquire().await.ok();
    let runtime = tokio::runtime::Handle::current();
    let looking = tokio::task::spawn_blocking(move || {
        // Held until the look ends, also when nobody waits for it any more.
        let _turn = turn;
        runtime.block_on(look(store))
    });
    looking.await.unwrap_or_else(|_| {
        Err(SelectError { message: "the look-up broke off; this is a mistake in Foghorn".to_owned() })
    })
}
