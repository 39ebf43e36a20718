//! Rule: a machine's CPUs have been busy for three minutes.
//!
//! The same rule as `scripts/host_high_cpu.rhai`, and as a line of PromQL. Write it as a component when it needs more
//! than a script should do.

use foghorn_plugin::rule::*;

struct HostHighCpu;

impl Evaluate for HostHighCpu {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn evaluate(_at: Timestamp) -> Result<Vec<Finding>> {
        let limit: f64 = param("limit")?;
        let busy = query::instant(BUSY)?;
        let high = busy.iter().filter(|cpu| cpu.value > limit);
        let finding = |cpu: &Series| {
            let summary =
                format!("{} is {} % busy (limit {limit} %)", cpu.label("instance"), cpu.value.trunc());
            Finding::of(cpu).note("summary", summary)
        };
        Ok(high.map(finding).collect())
    }
}

export_rule!(HostHighCpu);

const BUSY: &str = r#"100 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m])) * 100"#;

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    #[test]
    fn finds_the_busy_ones() {
        let rows: [(&[(&str, &str)], f64); 3] =
            [(&[("instance", "a")], 95.7), (&[("instance", "b")], 90.0), (&[("instance", "c")], f64::NAN)];
        let host = FakeHost::new().manifest(HostHighCpu::MANIFEST).instant(BUSY, &rows);
        let found = host.run(|| HostHighCpu::evaluate(Timestamp(0)));
        let wanted = Finding::new(Labels::from([("instance", "a")]), 95.7)
            .note("summary", "a is 95 % busy (limit 90 %)");
        assert_eq!(found, Ok(vec![wanted]));
    }

    #[test]
    fn the_limit_is_a_parameter() {
        let host = FakeHost::new().param("limit", 10).instant(BUSY, &[(&[("instance", "a")], 11.0)]);
        assert_eq!(host.run(|| HostHighCpu::evaluate(Timestamp(0))).map(|found| found.len()), Ok(1));
    }
}
