//! `cpufreq`: frequencies of processors.

use crate::scrape::{Outcome, Scrape, number};

const FOLDER: &str = "/sys/devices/system/cpu";
const FREQUENCIES: [(&str, &str, &str); 6] = [
    ("cpuinfo_cur_freq", "node_cpu_frequency_hertz", "Frequency of a processor."),
    ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "Lowest frequency of a processor."),
    ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "Highest frequency of a processor."),
    ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "Frequency that the kernel wants."),
    (
        "scaling_min_freq",
        "node_cpu_scaling_frequency_min_hertz",
        "Lowest frequency that the kernel may want.",
    ),
    (
        "scaling_max_freq",
        "node_cpu_scaling_frequency_max_hertz",
        "Highest frequency that the kernel may want.",
    ),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for (cpu, name) in s.numbered(FOLDER, "cpu")? {
        let folder = format!("{FOLDER}/{name}/cpufreq");
        let cpu = cpu.to_string();
        let read = s.lines_of(&folder, &FREQUENCIES.map(|(file, _, _)| file));
        for ((_, metric, help), text) in FREQUENCIES.iter().zip(read) {
            // The kernel writes kilohertz.
            if let Some(frequency) = text.as_deref().and_then(number) {
                s.gauge(metric, help, &[("cpu", &cpu)], frequency * 1000.0);
            }
        }
        let governors = s.lines_of(&folder, &["scaling_governor", "scaling_available_governors"]);
        let [Some(current), Some(available)] = &governors[..] else { continue };
        for governor in available.split_whitespace() {
            let labels = [("cpu", cpu.as_str()), ("governor", governor)];
            let chosen = f64::from(u8::from(governor == current));
            s.gauge("node_cpu_scaling_governor", "Which policy chooses the frequency.", &labels, chosen);
        }
    }
    Ok(())
}
