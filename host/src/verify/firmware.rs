//! Firmware images: built by the toolchain that `scripts/embedded-toolchain` finds, read as ELF.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::{Error, Result};

/// What to type when something is missing.
pub const REMEDY: &str = "to get it, type: scripts/embedded-toolchain";

/// The source tree that this program was built from.
pub(crate) fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A stretch of a chip's flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Address of the first byte.
    pub address: u64,
    /// Bytes.
    pub capacity: u64,
}

/// A linked image: what a board flashes, and where model and trial go.
#[derive(Clone, Debug)]
pub struct Image {
    /// The ELF file.
    pub path: PathBuf,
    /// Where the model goes.
    pub model: Region,
    /// Where the trial goes.
    pub trial: Region,
    /// Where what is learned is kept, if anywhere.
    pub banks: Option<Region>,
    /// Bytes of flash that code and constants take.
    pub flash: u64,
    /// Bytes of RAM that statics take, state memory included.
    pub static_ram: u64,
}

impl Image {
    /// Builds the image of a board for a target and reads it; quick when it is up to date.
    ///
    /// # Errors
    /// No source tree, no toolchain, or what the compiler said.
    pub fn build(board: &str, target: &str) -> Result<Self> {
        Self::build_binary(board, target, board, &[])
    }

    /// Builds one of the images of a board, with the features that it needs, and reads it; once in a process.
    ///
    /// # Errors
    /// As [`Image::build`].
    pub fn build_binary(board: &str, target: &str, binary: &str, features: &[&str]) -> Result<Self> {
        static BUILT: Mutex<BTreeMap<String, Image>> = Mutex::new(BTreeMap::new());
        let key = [&[board, target, binary], features].concat().join(" ");
        // Held while it builds: cargo would let one go after the other, too.
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = built.get(&key) {
            return Ok(image.clone());
        }
        let image = Self::build_anew(board, target, binary, features)?;
        built.insert(key, image.clone());
        Ok(image)
    }

    fn build_anew(board: &str, target: &str, binary: &str, features: &[&str]) -> Result<Self> {
        let firmware = tree().join("firmware");
        let script = tree().join("scripts/embedded-toolchain");
        if !script.is_file() {
            let remedy = "run tinyfold from a clone of its repository".into();
            return Err(Error::Missing {
                what: format!("the firmware source ({})", firmware.display()),
                remedy,
            });
        }
        // Images of other features have the same name.
        let folder = firmware.join(if features.contains(&"portable") { "target/portable" } else { "target" });
        let missing = || Error::Missing {
            what: "a compiler for Cortex-M or its emulator".into(),
            remedy: REMEDY.into(),
        };
        let message = format!("building the firmware image {binary}, which takes a minute the first time");
        let spinner = ProgressBar::new_spinner().with_message(message);
        spinner.enable_steady_tick(Duration::from_millis(200));
        let output = Command::new(&script)
            .args(["cargo", "build", "--release", "--locked", "--target", target, "-p", board])
            .args(["--bin", binary, "--features", &features.join(",")])
            .arg("--target-dir")
            .arg(&folder)
            .current_dir(&firmware)
            .stdin(Stdio::null())
            .output()
            .map_err(Error::file(&script, "run"));
        spinner.finish_and_clear();
        let output = output?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            if text.contains("rustup target add") {
                return Err(missing());
            }
            let reason = text.lines().skip_while(|line| !line.starts_with("error")).take(20);
            return Err(Error::CheckFailed(format!(
                "the firmware image {binary} was not built:\n{}",
                reason.collect::<Vec<&str>>().join("\n")
            )));
        }
        Self::read(&folder.join(target).join("release").join(binary))
    }

    /// Reads an ELF file.
    ///
    /// # Errors
    /// Not an ELF file, or one without tinyfold's symbols.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::file(path, "read"))?;
        let place = path.display().to_string();
        let elf = object::File::parse(&*bytes)
            .map_err(|error| Error::input(&place, "an ELF file", error.to_string()))?;
        let symbol = |name: &str| {
            elf.symbols()
                .find(|symbol| symbol.name() == Ok(name))
                .map(|symbol| symbol.address())
                .ok_or_else(|| Error::input(&place, format!("symbol {name}"), "none"))
        };
        let region = |name: &str| {
            let (start, end) =
                (symbol(&format!("__tinyfold_{name}_start"))?, symbol(&format!("__tinyfold_{name}_end"))?);
            Ok(Region { address: start, capacity: end.saturating_sub(start) })
        };
        let (mut flash, mut static_ram) = (0, 0);
        for section in elf.sections() {
            match section.kind() {
                SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => {
                    flash += section.size();
                }
                SectionKind::Data => {
                    flash += section.size();
                    static_ram += section.size();
                }
                SectionKind::UninitializedData => static_ram += section.size(),
                _ => {}
            }
        }
        Ok(Self {
            path: path.to_owned(),
            model: region("model")?,
            trial: region("trial")?,
            banks: region("banks").ok(),
            flash,
            static_ram,
        })
    }
}
