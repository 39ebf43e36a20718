//! `nfs` and `nfsd`: the two sides of the network file system.

use crate::MetricType::{self, Counter, Gauge};
use crate::scrape::{Outcome, Scrape, number, words};

/// The procedures of version 2, in the protocol's order.
const V2: &str = "Null GetAttr SetAttr Root Lookup ReadLink Read WrCache Write Create Remove Rename Link SymLink MkDir \
     RmDir ReadDir FsStat";
/// Of version 3.
const V3: &str = "Null GetAttr SetAttr Lookup Access ReadLink Read Write Create MkDir SymLink MkNod Remove RmDir Rename \
     Link ReadDir ReadDirPlus FsStat FsInfo PathConf Commit";
/// Of version 4, in the order in which the kernel's client counts them.
const V4_CLIENT: &str = "Null Read Write Commit Open OpenConfirm OpenNoattr OpenDowngrade Close Setattr FsInfo Renew \
     SetClientID SetClientIDConfirm Lock Lockt Locku Access Getattr Lookup LookupRoot Remove Rename Link Symlink Create \
     Pathconf StatFs ReadLink ReadDir ServerCaps DelegReturn GetACL SetACL FsLocations ReleaseLockowner Secinfo \
     FsidPresent ExchangeID CreateSession DestroySession Sequence GetLeaseTime ReclaimComplete GetDeviceInfo LayoutGet \
     LayoutCommit LayoutReturn SecinfoNoName TestStateID FreeStateID GetDeviceList BindConnToSession DestroyClientID Seek \
     Allocate DeAllocate LayoutStats Clone";
/// Of version 4, by the numbers of the operations; `-` is told by nobody.
const V4_SERVER: &str = "- - - Access Close Commit Create DelegPurge DelegReturn GetAttr GetFH Link Lock Lockt Locku Lookup \
     LookupRoot Nverify Open OpenAttr OpenConfirm OpenDgrd PutFH - - Read ReadDir ReadLink Remove Rename Renew RestoreFH \
     SaveFH SecInfo SetAttr SetClientID SetClientIDConfirm Verify Write RelLockOwner";

pub(super) fn client(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/net/rpc/nfs")?;
    for line in text.lines() {
        let fields = words(line);
        let Some((word, values)) = fields.split_first() else { continue };
        match *word {
            "net" => {
                packets(s, "nfs", "protocol", values);
                numbers(s, &[(3, "nfs_connections_total", Counter)], values);
            }
            "rpc" => {
                let names = [
                    (0, "nfs_rpcs_total", Counter),
                    (1, "nfs_rpc_retransmissions_total", Counter),
                    (2, "nfs_rpc_authentication_refreshes_total", Counter),
                ];
                numbers(s, &names, values);
            }
            "proc2" => requests(s, "nfs", "2", V2, values.get(1..).unwrap_or_default()),
            "proc3" => requests(s, "nfs", "3", V3, values.get(1..).unwrap_or_default()),
            "proc4" => requests(s, "nfs", "4", V4_CLIENT, values.get(1..).unwrap_or_default()),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn server(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/net/rpc/nfsd")?;
    for line in text.lines() {
        let fields = words(line);
        let Some((word, values)) = fields.split_first() else { continue };
        match *word {
            "rc" => {
                let names = [
                    (0, "nfsd_reply_cache_hits_total", Counter),
                    (1, "nfsd_reply_cache_misses_total", Counter),
                    (2, "nfsd_reply_cache_nocache_total", Counter),
                ];
                numbers(s, &names, values);
            }
            "fh" => numbers(s, &[(0, "nfsd_file_handles_stale_total", Counter)], values),
            "io" => {
                let names = [
                    (0, "nfsd_disk_bytes_read_total", Counter),
                    (1, "nfsd_disk_bytes_written_total", Counter),
                ];
                numbers(s, &names, values);
            }
            "th" => numbers(s, &[(0, "nfsd_server_threads", Gauge)], values),
            "ra" => {
                let names = [
                    (0, "nfsd_read_ahead_cache_size_blocks", Gauge),
                    (11, "nfsd_read_ahead_cache_not_found_total", Counter),
                ];
                numbers(s, &names, values);
            }
            "net" => {
                packets(s, "nfsd", "proto", values);
                numbers(s, &[(3, "nfsd_connections_total", Counter)], values);
            }
            "rpc" => {
                numbers(s, &[(0, "nfsd_server_rpcs_total", Counter)], values);
                for (at, error) in [(2, "fmt"), (3, "auth"), (4, "cInt")] {
                    if let Some(count) = values.get(at).and_then(|text| number(text)) {
                        s.counter(
                            "node_nfsd_rpc_errors_total",
                            "Calls that were refused.",
                            &[("error", error)],
                            count,
                        );
                    }
                }
            }
            // The server tells no empty calls.
            "proc2" => {
                requests(s, "nfsd", "2", V2.trim_start_matches("Null "), values.get(2..).unwrap_or_default())
            }
            "proc3" => {
                requests(s, "nfsd", "3", V3.trim_start_matches("Null "), values.get(2..).unwrap_or_default())
            }
            "proc4ops" => requests(s, "nfsd", "4", V4_SERVER, values.get(1..).unwrap_or_default()),
            "wdeleg_getattr" => requests(s, "nfsd", "4", "WdelegGetattr", values),
            _ => {}
        }
    }
    Ok(())
}

/// The numbers at some places of a line.
fn numbers(s: &mut Scrape<'_>, names: &[(usize, &str, MetricType)], values: &[&str]) {
    for (at, name, kind) in names {
        if let Some(value) = values.get(*at).and_then(|text| number(text)) {
            let help = format!("{} of the network file system.", name.replace('_', " "));
            s.family(&format!("node_{name}"), *kind, &help).point(&[], value);
        }
    }
}

fn packets(s: &mut Scrape<'_>, side: &str, label: &str, values: &[&str]) {
    for (at, protocol) in [(1, "udp"), (2, "tcp")] {
        if let Some(count) = values.get(at).and_then(|text| number(text)) {
            s.counter(&format!("node_{side}_packets_total"), "Packets.", &[(label, protocol)], count);
        }
    }
}

fn requests(s: &mut Scrape<'_>, side: &str, version: &str, methods: &str, values: &[&str]) {
    // A client of an older kernel has fewer procedures; by custom the others are told as 0.
    let missing = if side == "nfs" { Some(0.0) } else { None };
    for (at, method) in methods.split_whitespace().enumerate().filter(|(_, method)| *method != "-") {
        if let Some(count) = values.get(at).and_then(|text| number(text)).or(missing) {
            let labels = [("proto", version), ("method", method)];
            s.counter(&format!("node_{side}_requests_total"), "Requests, by procedure.", &labels, count);
        }
    }
}
