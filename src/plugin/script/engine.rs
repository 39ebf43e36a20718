//! One engine per kind: Rhai's own language without what could block, load or evaluate, and our functions.

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage,
    BasicMathPackage, BasicStringPackage, BitFieldPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{Dynamic, Engine};

use super::running::{call, progress};
use super::{capped, common, exporter, notifier, numbers, rule, series, shown, text};
use crate::Kind;
use crate::host::Level;

/// How deep functions may call each other.
pub(super) const CALL_DEPTH: usize = 32;
/// Variables in scope at once.
pub(super) const VARIABLES: usize = 500;
const FUNCTIONS: usize = 200;
/// How deep expressions may nest outside of functions, and in them.
const EXPRESSION_DEPTH: (usize, usize) = (64, 32);

/// The language alone: what a script has while it describes itself.
pub(super) fn bare() -> Engine {
    let mut engine = Engine::new_raw();
    // Not `LanguageCorePackage`: it brings `sleep`, which no symbol switch takes away, and nothing that is missed.
    ArithmeticPackage::new().register_into_engine(&mut engine);
    LogicPackage::new().register_into_engine(&mut engine);
    BitFieldPackage::new().register_into_engine(&mut engine);
    BasicMathPackage::new().register_into_engine(&mut engine);
    BasicStringPackage::new().register_into_engine(&mut engine);
    MoreStringPackage::new().register_into_engine(&mut engine);
    BasicIteratorPackage::new().register_into_engine(&mut engine);
    BasicArrayPackage::new().register_into_engine(&mut engine);
    BasicMapPackage::new().register_into_engine(&mut engine);
    BasicFnPackage::new().register_into_engine(&mut engine);
    engine
        .disable_symbol("eval")
        .set_max_call_levels(CALL_DEPTH)
        .set_max_expr_depths(EXPRESSION_DEPTH.0, EXPRESSION_DEPTH.1)
        .set_max_variables(VARIABLES)
        .set_max_functions(FUNCTIONS)
        .set_fail_on_invalid_map_property(false)
        .on_progress(progress)
        .on_print(|_| {})
        .on_debug(|_, _, _| {});
    // No size limits: they make every container quadratic. Memory is counted instead.
    capped::register(&mut engine);
    shown::register(&mut engine);
    numbers::register(&mut engine);
    engine.register_fn("type_of", |value: Dynamic| value.type_name().to_owned());
    engine
}

/// With the functions of `kind`.
pub(super) fn of(kind: Kind) -> Engine {
    let mut engine = bare();
    engine.on_print(|text| say(Level::Info, text));
    engine.on_debug(|text, _, _| say(Level::Debug, text));
    common::register(&mut engine);
    text::register(&mut engine);
    match kind {
        Kind::Rule => {
            series::register(&mut engine);
            rule::register(&mut engine);
        }
        Kind::Exporter => exporter::register(&mut engine),
        Kind::Notifier => notifier::register(&mut engine),
    }
    engine
}

fn say(level: Level, text: &str) {
    // Without a call there is nobody to tell.
    if let Ok(call) = call() {
        call.log(level, text, &[]);
    }
}
