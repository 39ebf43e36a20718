//! Instances of notifiers that serve one message after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{AlertStatus, Notification};
use ports::{Notifier, NotifyError};

use crate::component::{component, encode};
use crate::fake::{World, deadline, notification};

/// A notifier that remembers the number of its call since its instance was made. The third one breaks.
const COUNTING: &str = r#"(module
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (data (i32.const 64) "{\22name\22:\22counting\22}")
  (func (export "foghorn:plugin/manifest@0.1.0#describe") (result i32)
    (i32.store (i32.const 32) (i32.const 64))
    (i32.store (i32.const 36) (i32.const 19))
    (i32.const 32))
  (func (export "foghorn:plugin/notifier@0.1.0#notify") (param i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.eq (global.get $calls) (i32.const 3)) (then (unreachable)))
    (i32.store8 (i32.const 128) (i32.add (i32.const 48) (global.get $calls)))
    (i32.store (i32.const 256) (i32.const 0))   ;; ok
    (i32.store (i32.const 264) (i32.const 1))   ;; some
    (i32.store (i32.const 268) (i32.const 128)) ;; the digit
    (i32.store (i32.const 272) (i32.const 1))
    (i32.const 256))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))"#;

/// What a receiver with this setting is told.
fn told(setting: &str) -> Notification {
    let mut told = notification(&[("X", AlertStatus::Firing)]);
    told.settings = Arc::new(BTreeMap::from([("room".to_owned(), setting.to_owned())]));
    told
}

/// The number of the call in its instance, or what broke.
async fn call(notifier: &Arc<dyn Notifier>, setting: &str) -> String {
    match notifier.notify(&told(setting), 1, deadline()).await {
        Ok(receipt) => receipt.remember.expect("it always remembers"),
        Err(NotifyError::Later { message, .. } | NotifyError::Refused { message, .. }) => message,
    }
}

#[tokio::test]
async fn an_instance_serves_one_integration_until_it_breaks() {
    let world = World::new();
    let plugin = world.host().load(component("counting", encode(COUNTING, "notifier-plugin"))).await.unwrap();
    let notifier = plugin.notifier().unwrap();
    assert_eq!(call(&notifier, "a").await, "1");
    assert_eq!(call(&notifier, "a").await, "2");
    assert_eq!(call(&notifier, "b").await, "1", "another receiver's secrets and hosts are others");
    let broken = call(&notifier, "a").await;
    assert!(broken.contains("trapped: wasm trap: wasm `unreachable`"), "{broken}");
    assert_eq!(call(&notifier, "a").await, "1", "what the trap broke is gone");
    assert_eq!(call(&notifier, "b").await, "2");
}

#[tokio::test]
async fn an_instance_does_not_wait_for_long() {
    let world = World::new();
    let plugin = world.host().load(component("counting", encode(COUNTING, "notifier-plugin"))).await.unwrap();
    let notifier = plugin.notifier().unwrap();
    tokio::time::pause();
    assert_eq!(call(&notifier, "a").await, "1");
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(call(&notifier, "a").await, "2");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(call(&notifier, "a").await, "1");
}
