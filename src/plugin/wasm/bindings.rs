//! Rust types of `wit/v0.1`, generated. Nothing is written here by hand: the crate rebuilds slowly when this changes.

wasmtime::component::bindgen!({
    path: "../../wit/v0.1",
    // One world for the host's side: what all kinds import and export together. Which kind may import what is decided by
    // the linkers in `engine`.
    inline: "
        package foghorn:host;
        world everything {
            include foghorn:plugin/common@0.1.0;
            import foghorn:plugin/query@0.1.0;
            import foghorn:plugin/secrets@0.1.0;
            import foghorn:plugin/http@0.1.0;
            import foghorn:plugin/files@0.1.0;
            import foghorn:plugin/mail@0.1.0;
            import foghorn:plugin/notification@0.1.0;
            export foghorn:plugin/rule@0.1.0;
            export foghorn:plugin/exporter@0.1.0;
            export foghorn:plugin/notifier@0.1.0;
            export foghorn:plugin/lean-notifier@0.1.0;
        }
    ",
    imports: {
        "foghorn:plugin/query": async | trappable,
        "foghorn:plugin/http": async | trappable,
        "foghorn:plugin/files": async | trappable,
        "foghorn:plugin/mail": async | trappable,
        "foghorn:plugin/notification": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});
