//! Ctrl-C in the middle of a command.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs a command, waits until it catches Ctrl-C and `ready`, asked from then on, holds; sends it, and waits for the end.
pub fn interrupted(command: &mut Command, mut ready: impl FnMut() -> bool) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let status = format!("/proc/{}/status", child.id());
    // SIGINT is number 2: bit 1 of the signals that are caught.
    let catches = || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default().trim();
        u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & 2 != 0)
    };
    let began = Instant::now();
    while Path::new(&status).exists() && !(catches() && ready()) {
        assert!(began.elapsed().as_secs() < 300, "{command:?}: never ready for Ctrl-C");
        if child.try_wait().expect("a child").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success(), "{command:?}: ended before it was stopped");
    child.wait_with_output().expect("ends")
}
