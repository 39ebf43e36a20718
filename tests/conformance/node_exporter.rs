//! The host's metrics: a fixed tree of /proc and /sys, and what node_exporter makes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use node_metrics::{Family, FileSystem, Files, Kernel, Options};

use crate::Report;

/// What the corpus says is not to be compared: it depends on the machine.
const NOT_COMPARED: [&str; 5] = [
    "node_time_seconds",
    "node_time_zone",
    "node_textfile_mtime",
    "node_scrape_collector",
    "node_exporter_build",
];

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let folder = corpus.join("node-exporter");
    let Ok(expected) = std::fs::read(folder.join("expected/metrics.txt")) else { return };
    let tree = Tree::new(&folder.join("fixtures"));
    let ours = by_name(node_metrics::collect(&tree, &options()));
    for (name, wanted) in parse(&String::from_utf8_lossy(&expected)) {
        if NOT_COMPARED.iter().any(|prefix| name.starts_with(prefix)) || counts_of_this_machine(&name) {
            continue;
        }
        report.case("node-exporter", "metrics", &name, || compare(&wanted, ours.get(&name)));
    }
    for entry in std::fs::read_dir(folder.join("fixtures/textfile")).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // A case over several folders needs one that the corpus does not have.
        if path.extension().is_some_and(|end| end == "out") && !name.starts_with("glob_") {
            report.case("node-exporter", "textfile", &name, || textfile(&tree, &path, &name));
        }
    }
}

/// What a folder of files is told as, without the times of the files.
fn textfile(tree: &Tree, expected: &Path, name: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(expected).map_err(|error| error.to_string())?;
    let options = Options {
        without: node_metrics::collectors()
            .map(|(name, _)| name.to_owned())
            .filter(|name| name != "textfile")
            .collect(),
        textfile_directories: vec![format!("/textfile/{name}")],
        ..Options::default()
    };
    let mut ours = BTreeMap::new();
    for family in node_metrics::collect(tree, &options) {
        for point in family.points {
            let mut labels = point.labels;
            labels.sort();
            ours.insert((format!("{}{}", family.name, point.suffix), labels), point.value);
        }
    }
    ours.retain(|(name, _), _| !NOT_COMPARED.iter().any(|prefix| name.starts_with(prefix)));
    let wanted = parse(&text).into_iter().filter(|(name, _)| !name.starts_with("node_textfile_mtime"));
    let wanted: BTreeMap<_, _> = wanted
        .flat_map(|(name, family)| {
            family.points.into_iter().map(move |(labels, value)| ((name.clone(), labels), value))
        })
        .collect();
    if ours == wanted { Ok(()) } else { Err(format!("got {ours:?}, wanted {wanted:?}")) }
}

/// The options that the expected output was made with.
fn options() -> Options {
    let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    Options {
        with: node_metrics::collectors().map(|(name, _)| name.to_owned()).collect(),
        without: list("selinux filesystem uname"),
        ignored_network_devices: list("nope dmz int"),
        ignore_invalid_speed: true,
        ignored_chips: list("*bogus*"),
        stat_softirq: true,
        cpu_info: true,
        cpu_flags: list("aes avx avx? constant_tsc"),
        cpu_bugs: list("cpu_meltdown spectre_* mds"),
        textfile_directories: list("/textfile/two_metric_files"),
        sysctl: list("fs.file-nr fs.file-nr:total,current,max kernel.threads-max"),
        sysctl_info: list("kernel.seccomp.actions_avail"),
        ..Options::default()
    }
}

fn counts_of_this_machine(name: &str) -> bool {
    let direction =
        name.strip_prefix("node_network_receive_").or_else(|| name.strip_prefix("node_network_transmit_"));
    direction.is_some_and(|rest| rest.starts_with("bytes") || rest.starts_with("packets"))
}

/// Labels, in name order and without empty ones.
type LabelSet = Vec<(String, String)>;

#[derive(Default)]
struct Wanted {
    kind: String,
    points: Vec<(LabelSet, f64)>,
}

fn by_name(families: Vec<Family>) -> BTreeMap<String, Family> {
    families.into_iter().map(|family| (family.name.clone(), family)).collect()
}

fn compare(wanted: &Wanted, ours: Option<&Family>) -> Result<(), String> {
    let ours = ours.ok_or("missing")?;
    if ours.kind.as_str() != wanted.kind {
        return Err(format!("is a {}, wanted a {}", ours.kind.as_str(), wanted.kind));
    }
    let mut left: Vec<(LabelSet, f64)> = ours
        .points
        .iter()
        .map(|point| {
            let mut labels = point.labels.clone();
            labels.sort();
            (labels, point.value)
        })
        .collect();
    for (labels, value) in &wanted.points {
        let Some(at) = left.iter().position(|(own, _)| own == labels) else {
            return Err(format!(
                "no point {labels:?}; there are {:?}",
                left.iter().take(3).collect::<Vec<_>>()
            ));
        };
        let (_, own) = left.swap_remove(at);
        let same =
            own == *value || own.is_nan() && value.is_nan() || (own - value).abs() <= value.abs() * 1e-12;
        if !same {
            return Err(format!("{labels:?} is {own}, wanted {value}"));
        }
    }
    match left.first() {
        Some(point) => Err(format!("one too many: {point:?}")),
        None => Ok(()),
    }
}

fn parse(text: &str) -> BTreeMap<String, Wanted> {
    let mut families: BTreeMap<String, Wanted> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, ""));
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#')
            && let Some((series, value)) = line.rsplit_once(' ')
        {
            let (name, labels) = series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest));
            let point = (labels_of(labels.trim_end_matches('}')), value.parse().unwrap_or(f64::NAN));
            families.entry(name.to_owned()).or_default().points.push(point);
        }
    }
    families
}

fn labels_of(mut text: &str) -> LabelSet {
    let mut labels = Vec::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let (mut value, mut escaped, mut end) = (String::new(), false, rest.len());
        for (at, c) in rest.char_indices() {
            match (escaped, c) {
                (true, 'n') => value.push('\n'),
                (true, c) => value.push(c),
                (false, '\\') => {}
                (false, '"') => {
                    end = at + 1;
                    break;
                }
                (false, c) => value.push(c),
            }
            escaped = !escaped && c == '\\';
        }
        // The reference ran with its trees in a folder of its own.
        let value = value.strip_prefix("collector/fixtures").map_or(value.clone(), str::to_owned);
        if !value.is_empty() {
            labels.push((name.trim_start_matches(',').to_owned(), value));
        }
        text = rest.get(end..).unwrap_or_default();
    }
    labels.sort();
    labels
}

enum Node {
    File(Vec<u8>),
    Link(String),
    Directory,
}

/// The fixture: /proc as it stands in the folder, /sys and udev's data from their archives.
struct Tree {
    folder: PathBuf,
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    fn new(folder: &Path) -> Tree {
        let mut nodes = BTreeMap::new();
        for (archive, prefix) in [("sys.ttar", "/"), ("udev.ttar", "/run/")] {
            unpack(&std::fs::read(folder.join(archive)).unwrap_or_default(), prefix, &mut nodes);
        }
        Tree { folder: folder.to_owned(), nodes }
    }

    /// The path without links.
    fn resolve(&self, path: &str) -> String {
        let mut done: Vec<String> = Vec::new();
        let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut hops = 0;
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => drop(done.pop()),
                _ => {
                    done.push(part);
                    if let Some(Node::Link(target)) = self.nodes.get(&format!("/{}", done.join("/")))
                        && hops < 40
                    {
                        hops += 1;
                        done.pop();
                        left.extend(target.split('/').rev().map(str::to_owned));
                    }
                }
            }
        }
        format!("/{}", done.join("/"))
    }

    fn on_disk(&self, path: &str) -> PathBuf {
        self.folder.join(path.trim_start_matches('/'))
    }
}

/// Reads a text archive: records of `Path` with `Lines` or `SymlinkTo`.
fn unpack(archive: &[u8], prefix: &str, nodes: &mut BTreeMap<String, Node>) {
    let mut lines = archive.split(|byte| *byte == b'\n');
    let mut path = String::new();
    while let Some(line) = lines.next() {
        let text = String::from_utf8_lossy(line).into_owned();
        if let Some(name) = text.strip_prefix("Directory: ") {
            nodes.insert(format!("{prefix}{name}"), Node::Directory);
        } else if let Some(name) = text.strip_prefix("Path: ") {
            path = format!("{prefix}{name}");
        } else if let Some(target) = text.strip_prefix("SymlinkTo: ") {
            nodes.insert(path.clone(), Node::Link(target.to_owned()));
        } else if let Some(count) = text.strip_prefix("Lines: ") {
            let mut content = Vec::new();
            for line in lines.by_ref().take(count.parse().unwrap_or(0)) {
                content.extend(content_line(line));
            }
            nodes.insert(path.clone(), Node::File(content));
        }
    }
}

/// A line of content, with its end unless `EOF` says that there is none.
fn content_line(line: &[u8]) -> Vec<u8> {
    let (line, end) = match line.strip_suffix(b"EOF") {
        Some(line) if !line.ends_with(b"\\") => (line, &b""[..]),
        _ => (line, &b"\n"[..]),
    };
    let mut out = Vec::new();
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"NULLBYTE") {
            out.push(0);
            rest = after;
        } else if byte == b'\\' && (after.starts_with(b"NULLBYTE") || after.starts_with(b"EOF")) {
            let word = if after.starts_with(b"EOF") { 3 } else { 8 };
            out.extend(&after[..word]);
            rest = &after[word..];
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out.extend(end);
    out
}

impl Files for Tree {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        // The reference asked its own machine about the loopback device, and no other.
        if path == "/proc/net/dev" {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            let kept =
                text.lines().enumerate().filter(|(at, line)| *at < 2 || line.trim_start().starts_with("lo:"));
            return Ok(kept.map(|(_, line)| format!("{line}\n")).collect::<String>().into_bytes());
        }
        if path.starts_with("/sys/class/net/lo/") {
            return std::fs::read(path).map_err(|error| error.to_string());
        }
        match self.nodes.get(&self.resolve(path)) {
            Some(Node::File(content)) => Ok(content.clone()),
            _ => std::fs::read(self.on_disk(path)).map_err(|error| format!("{path}: {error}")),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let folder = self.resolve(path);
        let below = format!("{}/", folder.trim_end_matches('/'));
        let inside = self.nodes.range(below.clone()..).map_while(|(path, _)| path.strip_prefix(&below));
        let mut names: Vec<String> =
            inside.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect();
        if let Ok(entries) = std::fs::read_dir(self.on_disk(&folder)) {
            names.extend(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()));
        } else if names.is_empty() && !matches!(self.nodes.get(&folder), Some(Node::Directory)) {
            return Err(format!("{path}: no such directory"));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn link(&self, path: &str) -> Result<String, String> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.nodes.get(&format!("{}/{name}", self.resolve(folder).trim_end_matches('/'))) {
            Some(Node::Link(target)) => Ok(target.clone()),
            _ => Err(format!("{path}: no link")),
        }
    }

    fn file_system(&self, path: &str) -> Result<FileSystem, String> {
        Err(format!("{path}: the fixture has no file systems"))
    }

    fn kernel(&self) -> Result<Kernel, String> {
        Err("the fixture has no kernel".to_owned())
    }

    fn now(&self) -> f64 {
        0.0
    }
}
