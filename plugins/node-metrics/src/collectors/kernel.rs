//! Collectors that read a file or two of the kernel: `entropy`, `filefd`, `kernel_hung`, `loadavg`, `selinux`, `uname`.

use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn entropy(s: &mut Scrape<'_>) -> Outcome {
    let available = s.number("/proc/sys/kernel/random/entropy_avail")?;
    let pool = s.number("/proc/sys/kernel/random/poolsize")?;
    s.gauge("node_entropy_available_bits", "Entropy that the kernel has.", &[], available);
    s.gauge("node_entropy_pool_size_bits", "Entropy that the kernel can hold.", &[], pool);
    Ok(())
}

pub(super) fn filefd(s: &mut Scrape<'_>) -> Outcome {
    let text = s.line("/proc/sys/fs/file-nr")?;
    let [Some(allocated), _, Some(maximum)] =
        words(&text).iter().map(|word| number(word)).collect::<Vec<_>>()[..]
    else {
        return Err(format!("/proc/sys/fs/file-nr: `{text}` is not three numbers"));
    };
    s.gauge("node_filefd_allocated", "Files that are open.", &[], allocated);
    s.gauge("node_filefd_maximum", "Files that can be open.", &[], maximum);
    Ok(())
}

pub(super) fn hung_tasks(s: &mut Scrape<'_>) -> Outcome {
    let count = s.number("/proc/sys/kernel/hung_task_detect_count")?;
    s.counter("node_kernel_hung_tasks_total", "Tasks that the kernel found to hang.", &[], count);
    Ok(())
}

pub(super) fn loadavg(s: &mut Scrape<'_>) -> Outcome {
    let text = s.line("/proc/loadavg")?;
    let loads: Vec<f64> = words(&text).iter().take(3).filter_map(|word| number(word)).collect();
    let [one, five, fifteen] = loads[..] else {
        return Err(format!("/proc/loadavg: `{text}` does not begin with three numbers"));
    };
    for (minutes, load) in [(1, one), (5, five), (15, fifteen)] {
        s.gauge(&format!("node_load{minutes}"), &format!("Load over {minutes} min."), &[], load);
    }
    Ok(())
}

pub(super) fn selinux(s: &mut Scrape<'_>) -> Outcome {
    let enforcing = s.number("/sys/fs/selinux/enforce");
    let enabled = f64::from(u8::from(enforcing.is_ok()));
    s.gauge("node_selinux_enabled", "Whether SELinux is there.", &[], enabled);
    if let Ok(mode) = enforcing {
        s.gauge("node_selinux_current_mode", "Whether SELinux enforces.", &[], mode);
    }
    Ok(())
}

pub(super) fn uname(s: &mut Scrape<'_>) -> Outcome {
    let kernel = s.files.kernel()?;
    let labels = [
        ("sysname", kernel.sysname.as_str()),
        ("release", &kernel.release),
        ("version", &kernel.version),
        ("machine", &kernel.machine),
        ("nodename", &kernel.nodename),
        ("domainname", &kernel.domainname),
    ];
    s.gauge("node_uname_info", "What the kernel says about itself.", &labels, 1.0);
    Ok(())
}
