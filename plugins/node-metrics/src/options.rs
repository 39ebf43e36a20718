//! What is collected.

/// What is collected. The default is node_exporter's.
#[derive(Clone, Debug)]
pub struct Options {
    /// Collectors that do not run by default, and shall.
    pub with: Vec<String>,
    /// Collectors that run by default, and shall not.
    pub without: Vec<String>,
    /// Network devices that `netdev`, `netclass` and `arp` leave out, as patterns with `*` and `?`.
    pub ignored_network_devices: Vec<String>,
    /// Whether `netclass` leaves a speed of -1 out, with which a kernel says that there is none.
    pub ignore_invalid_speed: bool,
    /// File systems that are left out, by type.
    pub ignored_file_system_types: Vec<String>,
    /// File systems that are left out, by mount point: the point itself and what is below it.
    pub ignored_mount_points: Vec<String>,
    /// Sensor chips that `hwmon` leaves out, as patterns.
    pub ignored_chips: Vec<String>,
    /// Whether `stat` counts soft interrupts too.
    pub stat_softirq: bool,
    /// Whether `cpu` describes the processors from `/proc/cpuinfo`.
    pub cpu_info: bool,
    /// With `cpu_info`: patterns of the flags that are told.
    pub cpu_flags: Vec<String>,
    /// With `cpu_info`: patterns of the bugs that are told.
    pub cpu_bugs: Vec<String>,
    /// Folders of `*.prom` files for `textfile`.
    pub textfile_directories: Vec<String>,
    /// Kernel parameters that `sysctl` tells: `fs.file-nr`, or `fs.file-nr:total,current,max` to name its fields.
    pub sysctl: Vec<String>,
    /// Kernel parameters that `sysctl` tells as labels.
    pub sysctl_info: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Options {
            with: Vec::new(),
            without: Vec::new(),
            ignored_network_devices: Vec::new(),
            ignore_invalid_speed: false,
            ignored_file_system_types: list(
                "autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs fusectl hugetlbfs iso9660 \
                 mqueue nsfs overlay proc procfs pstore rpc_pipefs securityfs selinuxfs squashfs erofs sysfs tracefs",
            ),
            ignored_mount_points: list(
                "/dev /proc /run/credentials /run/user /sys /var/lib/docker /var/lib/containers/storage",
            ),
            ignored_chips: Vec::new(),
            stat_softirq: false,
            cpu_info: false,
            cpu_flags: Vec::new(),
            cpu_bugs: Vec::new(),
            textfile_directories: Vec::new(),
            sysctl: Vec::new(),
            sysctl_info: Vec::new(),
        }
    }
}

impl Options {
    pub(crate) fn runs(&self, collector: &str, by_default: bool) -> bool {
        let named = |list: &[String]| list.iter().any(|name| name == collector);
        (by_default || named(&self.with)) && !named(&self.without)
    }

    pub(crate) fn ignores_network_device(&self, device: &str) -> bool {
        any_matches(&self.ignored_network_devices, device)
    }

    pub(crate) fn ignores_file_system(&self, mount_point: &str, kind: &str) -> bool {
        let below = |place: &String| {
            mount_point
                .strip_prefix(place.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.ignored_file_system_types.iter().any(|name| name == kind)
            || self.ignored_mount_points.iter().any(below)
    }
}

/// Whether a name fits one of the patterns.
pub(crate) fn any_matches(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern.as_bytes(), name.as_bytes()))
}

/// `*` stands for any text, `?` for one byte.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go back to: behind the last `*`, and what it has not swallowed yet.
    let (mut p, mut n, mut back) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((after, from)) = back else { return false };
                back = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, wanted) in [
            ("veth*", "veth12", true),
            ("veth*", "eth0", false),
            ("*", "", true),
            ("avx?", "avx2", true),
            ("avx?", "avx", false),
            ("avx?", "avx512", false),
            ("a*b*c", "aXbbYc", true),
            ("a*b*c", "aXcYb", false),
            ("", "", true),
        ] {
            assert_eq!(any_matches(&[pattern.to_owned()], name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn mount_points_are_left_out_with_what_is_below_them() {
        let options = Options::default();
        for (place, kind, wanted) in [
            ("/dev", "x", true),
            ("/dev/shm", "tmpfs", true),
            ("/device", "ext4", false),
            ("/", "overlay", true),
        ] {
            assert_eq!(options.ignores_file_system(place, kind), wanted, "{place}");
        }
    }
}
