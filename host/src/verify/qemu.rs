//! Emulated chips: the firmware image, with model and trial put into its flash, under QEMU.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tinyfold_core::wire::ALIGNMENT;
use tinyfold_core::wire::trial::{self, ResultHeader, Trial};

use super::firmware::{Image, REMEDY, Region};
use super::{Backend, Case, Record, Subject};
use crate::format::model;
use crate::{Error, Result};

/// A chip that QEMU emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chip {
    /// Name of the backend and of the board's folder.
    pub name: &'static str,
    /// The core.
    pub core: &'static str,
    /// QEMU's machine.
    pub machine: &'static str,
    /// Rust's target.
    pub target: &'static str,
}

/// All of them.
pub const CHIPS: [Chip; 5] = [
    Chip { name: "qemu-m0", core: "Cortex-M0", machine: "microbit", target: "thumbv6m-none-eabi" },
    Chip { name: "qemu-m3", core: "Cortex-M3", machine: "mps2-an385", target: "thumbv7m-none-eabi" },
    Chip { name: "qemu-m4f", core: "Cortex-M4F", machine: "mps2-an386", target: "thumbv7em-none-eabihf" },
    Chip { name: "qemu-m7", core: "Cortex-M7", machine: "mps2-an500", target: "thumbv7em-none-eabihf" },
    Chip { name: "qemu-m33", core: "Cortex-M33", machine: "mps2-an505", target: "thumbv8m.main-none-eabihf" },
];

/// That QEMU is there.
///
/// # Errors
/// [`Error::Missing`]: it is not.
pub fn present() -> Result<()> {
    let asked = Command::new("qemu-system-arm").arg("--version").stdout(Stdio::null()).status();
    asked.map(|_| ()).map_err(|_| Error::Missing { what: "qemu-system-arm".into(), remedy: REMEDY.into() })
}

/// A chip with its image, ready to run cases.
pub struct Qemu {
    /// The chip.
    pub chip: Chip,
    /// Its image.
    pub image: Image,
    /// How long one batch of cases may take.
    pub patience: Duration,
    /// Further options of QEMU.
    pub options: Vec<String>,
    /// File for what the image logs: frames of defmt.
    pub log: Option<PathBuf>,
    worst_stack: AtomicU32,
}

impl Qemu {
    /// Builds the image of `chip` and makes sure that QEMU is there.
    ///
    /// # Errors
    /// [`Error::Missing`] without QEMU or a toolchain.
    pub fn new(chip: Chip) -> Result<Self> {
        present()?;
        Ok(Self::with_image(chip, Image::build(chip.name, chip.target)?))
    }

    /// `chip` with an image of its own.
    #[must_use]
    pub fn with_image(chip: Chip, image: Image) -> Self {
        let (patience, options) = (Duration::from_secs(600), Vec::new());
        Self { chip, image, patience, options, log: None, worst_stack: AtomicU32::new(0) }
    }

    /// Most bytes of stack that any case used so far.
    #[must_use]
    pub fn worst_stack(&self) -> u32 {
        self.worst_stack.load(Ordering::Relaxed)
    }

    pub(crate) fn used_stack(&self, bytes: u32) {
        self.worst_stack.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Runs models on their trials, each one after the other, and returns the bytes of the results.
    ///
    /// # Errors
    /// Model or trial larger than its region, with the numbers; the image's own message when it
    /// refuses, panics or faults; patience exceeded.
    pub fn run_bytes(&self, model: &[u8], trial: &[u8]) -> Result<Vec<u8>> {
        self.run_kept(model, trial, &mut Vec::new())
    }

    /// As [`Qemu::run_bytes`]; `flash` is what the chip's banks hold before and after, empty when nothing was ever
    /// written to them.
    ///
    /// # Errors
    /// As [`Qemu::run_bytes`], and flash of another size than the chip's banks.
    pub fn run_kept(&self, model: &[u8], trial: &[u8], flash: &mut Vec<u8>) -> Result<Vec<u8>> {
        self.fits("model", model, self.image.model)?;
        self.fits("trial", trial, self.image.trial)?;
        let folder = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir(), "create folder"))?;
        let place = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).map_err(Error::file(&path, "write"))
        };
        place("model.tfld", model)?;
        place("trial.bin", trial)?;
        let load = |file: &str, region: Region| {
            format!("loader,file={file},addr={:#x},force-raw=on", region.address)
        };
        let mut kept = Vec::new();
        if !flash.is_empty() {
            let banks = self.image.banks.filter(|banks| banks.capacity == flash.len() as u64);
            let banks = banks.ok_or_else(|| {
                let capacity = self.image.banks.map_or(0, |banks| banks.capacity);
                let place = format!("flash banks of {}", self.chip.name);
                Error::input(place, format!("{capacity} bytes"), format!("{} bytes", flash.len()))
            })?;
            place("flash.bin", flash)?;
            kept = vec!["-device".into(), load("flash.bin", banks)];
        }
        let log = match &self.log {
            None => Stdio::null(),
            Some(path) => File::create(path).map_err(Error::file(path, "write"))?.into(),
        };
        let mut qemu = Command::new("qemu-system-arm")
            .args(["-M", self.chip.machine, "-nographic"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .arg("-kernel")
            .arg(std::path::absolute(&self.image.path).map_err(Error::file(&self.image.path, "find"))?)
            .args(["-device", &load("model.tfld", self.image.model)])
            .args(["-device", &load("trial.bin", self.image.trial)])
            .args(kept)
            .args(&self.options)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::file(Path::new("qemu-system-arm"), "run"))?;
        let failed = |reason: String| Error::CheckFailed(reason);
        let began = Instant::now();
        let status = loop {
            match qemu.try_wait().map_err(Error::file(Path::new("qemu-system-arm"), "wait for"))? {
                Some(status) => break status,
                None if began.elapsed() > self.patience => {
                    // Both fail only if it has just ended by itself.
                    let _ = qemu.kill();
                    let _ = qemu.wait();
                    let limit = self.patience.as_secs();
                    return Err(failed(format!("expected to end within {limit} s, still running")));
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        if !status.success() {
            let mut message = String::new();
            if let Some(mut stderr) = qemu.stderr.take() {
                let _ = stderr.read_to_string(&mut message);
            }
            return Err(failed(format!("ended with {status}: {}", message.trim())));
        }
        let path = folder.path().join("banks.bin");
        if path.exists() {
            *flash = std::fs::read(&path).map_err(Error::file(&path, "read"))?;
        }
        let path = folder.path().join("result.bin");
        std::fs::read(&path).map_err(Error::file(&path, "read"))
    }

    fn fits(&self, what: &str, bytes: &[u8], region: Region) -> Result<()> {
        if bytes.len() as u64 <= region.capacity {
            return Ok(());
        }
        let place = format!("{what} for {}", self.chip.name);
        Err(Error::input(
            place,
            format!("at most {} bytes", region.capacity),
            format!("{} bytes", bytes.len()),
        ))
    }
}

impl Backend for Qemu {
    fn name(&self) -> String {
        self.chip.name.into()
    }

    fn left_out(&self, case: &Case) -> Option<String> {
        let more = case.monitor.is_some() || matches!(case.subject, Subject::Reduced(_));
        (more && self.chip.core == "Cortex-M0")
            .then(|| "its flash has no room for reduced models and monitors".into())
    }

    fn run(&self, cases: &[&Case]) -> Result<Vec<Record>> {
        let mut records = Vec::with_capacity(cases.len());
        let mut batch = Batch::default();
        for case in cases {
            let trial = self.trial(case)?;
            let flash = case.flash();
            if !batch.cases.is_empty() && !batch.has_room(self, &flash, &trial) {
                records.extend(self.run_batch(&std::mem::take(&mut batch))?);
            }
            append(&mut batch.models, &flash);
            append(&mut batch.trials, &trial);
            batch.cases.push(*case);
        }
        records.extend(self.run_batch(&batch)?);
        Ok(records)
    }
}

/// Models and trials that go into a chip's flash at once.
#[derive(Default)]
struct Batch<'a> {
    cases: Vec<&'a Case>,
    models: Vec<u8>,
    trials: Vec<u8>,
}

impl Batch<'_> {
    fn has_room(&self, chip: &Qemu, flash: &[u8], trial: &[u8]) -> bool {
        let fits = |held: &[u8], more: &[u8], region: Region| {
            (held.len().next_multiple_of(ALIGNMENT) + more.len()) as u64 <= region.capacity
        };
        fits(&self.models, flash, chip.image.model) && fits(&self.trials, trial, chip.image.trial)
    }
}

fn append(region: &mut Vec<u8>, bytes: &[u8]) {
    region.resize(region.len().next_multiple_of(ALIGNMENT), 0);
    region.extend(bytes);
}

impl Qemu {
    fn trial(&self, case: &Case) -> Result<Vec<u8>> {
        let mut trial = vec![0; trial::length(case.samples.len())];
        let inputs = case.inputs;
        match case.fixed() {
            Some(network) => {
                trial::write(&Trial { inputs, samples: &network.raw(&case.samples) }, &mut trial)
            }
            None => trial::write(&Trial { inputs, samples: &case.samples }, &mut trial),
        }
        .map_err(|error| self.refused(case, error))?;
        Ok(trial)
    }

    fn refused(&self, case: &Case, error: tinyfold_core::Error) -> Error {
        model::refused(&format!("{}: {}", self.chip.name, case.name), error)
    }

    fn run_batch(&self, batch: &Batch<'_>) -> Result<Vec<Record>> {
        let results = self.run_bytes(&batch.models, &batch.trials).map_err(|error| match error {
            Error::CheckFailed(reason) => {
                // The image names the case by its number.
                let number =
                    reason.split("case ").nth(1).and_then(|rest| rest.split(':').next()?.parse().ok());
                let case = number.and_then(|number: usize| batch.cases.get(number)).or(batch.cases.first());
                let name = case.map_or("no case", |case| &case.name);
                Error::CheckFailed(format!("{}: {name}: {reason}", self.chip.name))
            }
            other => other,
        })?;
        let mut rest = &results[..];
        batch
            .cases
            .iter()
            .map(|case| {
                let (header, words, stack) =
                    ResultHeader::read_prefix(rest).map_err(|error| self.refused(case, error))?;
                rest = &rest[header.length()..];
                self.used_stack(stack);
                Ok(Record::of_words(&header, words))
            })
            .collect()
    }
}
