//! Processor time, medians, and a process of Python that does what others do.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use cpu_time::ProcessTime;

/// Processor time of all threads of this process so far, in milliseconds.
#[must_use]
pub fn cpu_ms() -> f64 {
    1e3 * ProcessTime::now().as_duration().as_secs_f64()
}

/// The middle value; of an even number the upper one of the two.
///
/// # Panics
/// No values.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A process that answers every line with a line.
pub struct Python {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Starts a script of `benches/`.
    ///
    /// # Panics
    /// The interpreter does not start.
    #[must_use]
    pub fn new(interpreter: &str, script: &str) -> Self {
        let mut child = Command::new(interpreter)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, answers }
    }

    /// The answer to a line.
    ///
    /// # Panics
    /// The script has ended.
    pub fn ask(&mut self, request: &str) -> String {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{request}").expect("asked");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("answered");
        line.trim().to_owned()
    }

    /// Number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
