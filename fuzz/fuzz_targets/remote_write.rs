//! A request is stored, or refused with an error: as it comes, and as a message that is compressed first.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use model::{SeriesRef, Timestamp};
use ports::{Append, AppendError, Appended, WriteBatch};
use remote::testing::compressed;
use remote::{Limits, Receiver};

/// Takes everything.
struct Anything;

impl Append for Anything {
    fn append(&self, batch: &WriteBatch) -> Result<Appended, AppendError> {
        let outcome = batch.rows.iter().map(|row| Ok(SeriesRef(row.labels.fingerprint().0))).collect();
        Ok(Appended { outcome, created: 0 })
    }
}

static RECEIVER: LazyLock<Receiver> = LazyLock::new(|| {
    Receiver::new(
        Arc::new(Anything),
        Limits { message_bytes_max: 1 << 20, samples_max: 1000, ..Limits::default() },
    )
});

fuzz_target!(|bytes: &[u8]| {
    let now = Timestamp::from_secs(1_700_000_000);
    for content_type in [None, Some("application/x-protobuf;proto=io.prometheus.write.v2.Request")] {
        let protocol = remote::accept(content_type, None).expect("both are known");
        RECEIVER.reply(protocol, bytes, now);
        RECEIVER.reply(protocol, &compressed(bytes), now);
    }
});
