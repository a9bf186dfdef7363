//! What is measured, and what is done so that all leechers find the machine alike.

use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the clock all processes share.
pub(crate) fn now() -> u64 {
    nanos(ClockId::Monotonic)
}

/// This process's processor time in nanoseconds.
pub(crate) fn cpu() -> u64 {
    nanos(ClockId::ProcessCPUTime)
}

/// That of another one, to a hundredth of a second.
pub(crate) fn cpu_of(pid: u32) -> std::io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may have spaces in it, `utime` and `stime` are the 12th and 13th.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second()))
}

/// Tells the parent that the download is complete: the time, and this process's processor time up to it.
pub(crate) fn done() {
    println!("{} {}", now(), cpu());
}

/// What [`done`] printed.
pub(crate) fn parse_done(line: &str) -> Option<(u64, u64)> {
    let (at, cpu) = line.split_once(' ')?;
    Some((at.parse().ok()?, cpu.parse().ok()?))
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The most anonymous memory `pid` is seen with, in KiB, until `ended`.
pub(crate) fn watch_anon(pid: u32, ended: &AtomicBool) -> u64 {
    let mut most = 0;
    while !ended.load(Ordering::Relaxed) {
        most = most.max(kib_of(&format!("/proc/{pid}/status"), "RssAnon:"));
        thread::sleep(Duration::from_millis(5));
    }
    most
}

/// Nothing waits to be written, and free memory has been touched a moment ago: in a virtual machine the host takes
/// free pages back, and the first to touch one again pays several times its usual price.
pub(crate) fn settle(download_len: u64) {
    rustix::fs::sync();
    let free = (kib_of("/proc/meminfo", "MemFree:") * 1024).saturating_sub(256 << 20);
    black_box(vec![1_u8; free.min(4 * download_len) as usize]);
}

fn kib_of(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|value| value.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
