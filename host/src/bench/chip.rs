//! Emulated chips that count: the bench image under QEMU with time tied to instructions.

use std::io::BufReader;

use super::case::Case;
use super::timing::{Counter, Model};
use super::trace::Program;
use crate::verify::firmware::Image;
use crate::verify::qemu::{CHIPS, Chip, Qemu, present};
use crate::{Error, Result};

/// What the bench knows of a chip besides [`Chip`].
struct Traits {
    name: &'static str,
    /// Clock of SysTick in Hz, as QEMU's machine has it.
    clock: f64,
    /// How time is modelled.
    model: Option<Model>,
    /// Whether it multiplies and adds f32 in one instruction.
    fused: bool,
    /// Words of memory that the bench image lends a kernel: `WORDS` of `firmware/bench/image.rs`.
    words: usize,
}

const TRAITS: [Traits; CHIPS.len()] = [
    Traits { name: "qemu-m0", clock: 16e6, model: Some(Model::M0), fused: false, words: 512 },
    Traits { name: "qemu-m3", clock: 25e6, model: Some(Model::M3), fused: false, words: 13_824 },
    Traits { name: "qemu-m4f", clock: 25e6, model: Some(Model::M4), fused: true, words: 13_824 },
    Traits { name: "qemu-m7", clock: 25e6, model: None, fused: true, words: 13_824 },
    Traits { name: "qemu-m33", clock: 20e6, model: None, fused: true, words: 13_824 },
];

/// What was counted for a case on a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Executed instructions.
    pub instructions: u64,
    /// Modelled cycles, where there is a model.
    pub cycles: Option<u64>,
    /// Most bytes of stack of the whole image.
    pub stack: u32,
}

/// A chip with its bench image.
pub struct Bench {
    /// The chip.
    pub chip: Chip,
    /// Its image.
    pub image: Image,
    /// The code of the image.
    pub program: Program,
    /// Whether it has no assembly.
    pub portable: bool,
    traits: &'static Traits,
}

impl Bench {
    /// Builds the bench image of the chip of this name; `portable`: without assembly.
    ///
    /// # Errors
    /// An unknown name, with the known ones; [`Error::Missing`] without QEMU or a toolchain.
    pub fn new(name: &str, portable: bool) -> Result<Self> {
        let traits = TRAITS.iter().find(|traits| traits.name == name);
        let (Some(traits), Some(chip)) = (traits, CHIPS.into_iter().find(|chip| chip.name == name)) else {
            let known = CHIPS.map(|chip| chip.name).join(", ");
            return Err(Error::input("--on", format!("chips among {known}"), name));
        };
        present()?;
        let features: &[&str] = if portable { &["bench", "portable"] } else { &["bench"] };
        let image = Image::build_binary(name, chip.target, &format!("{name}-bench"), features)?;
        let bytes = std::fs::read(&image.path).map_err(Error::file(&image.path, "read"))?;
        let program = Program::read(&bytes, &image.path.display().to_string())?;
        Ok(Self { chip, image, program, portable, traits })
    }

    /// Bytes of static RAM of the image with just the memory that a case takes.
    #[must_use]
    pub fn ram(&self, case: &Case) -> u64 {
        self.image.static_ram + 4 * case.memory as u64 - 4 * self.traits.words as u64
    }

    /// The model of its cycles.
    #[must_use]
    pub const fn model(&self) -> Option<Model> {
        self.traits.model
    }

    /// Why a case is left out on this chip, if it is.
    #[must_use]
    pub fn left_out(&self, case: &Case) -> Option<String> {
        let (model, room) = (case.model.bytes().len() as u64, self.image.model.capacity);
        if model > room {
            return Some(format!("the model takes {model} bytes, the flash has {room} for it"));
        }
        let words = self.traits.words;
        if case.memory > words {
            return Some(format!("it takes {} words of RAM, the image has {words} for it", case.memory));
        }
        if case.rare() && words < 1024 {
            return Some(
                "the flash of the bench image has no room for learners, monitors and reduced models".into(),
            );
        }
        if case.fused() && !self.traits.fused {
            return Some("no instruction for it: the same by software is never the better choice".into());
        }
        None
    }

    /// Counts a case, after making sure that the chip computes what this host does.
    ///
    /// # Errors
    /// A result that differs from the host's, a count that differs between clock and trace, an image that
    /// ended early.
    pub fn count(&self, case: &Case) -> Result<Count> {
        let failed =
            |reason: String| Error::CheckFailed(format!("{} on {}: {reason}", case.name(), self.chip.name));
        let (instructions, stack) = self.by_clock(case)?;
        let cycles = match self.traits.model {
            None => None,
            Some(model) => {
                let counter = self.by_trace(case, model)?;
                if counter.instructions != instructions {
                    let traced = counter.instructions;
                    return Err(failed(format!("{instructions} instructions by the clock, {traced} traced")));
                }
                Some(counter.cycles)
            }
        };
        Ok(Count { instructions, cycles, stack })
    }

    /// Instructions by SysTick, and the worst stack.
    fn by_clock(&self, case: &Case) -> Result<(u64, u32)> {
        // One instruction takes 2^shift ns; the 24 bits of SysTick hold 650 000 instructions or 8 times that.
        for shift in [10, 7] {
            let options = ["-icount".to_owned(), format!("shift={shift}")];
            let result = self.run(case, options.into())?;
            if !result.over {
                let ticks = self.traits.clock * 1e-9 * f64::from(1_u32 << shift);
                let instructions = |count: u32| (f64::from(count) / ticks).round() as u64;
                return Ok((instructions(result.ticks) - instructions(result.empty), result.stack));
            }
        }
        Err(Error::CheckFailed(format!("{}: too long for the 24 bits of SysTick", case.name())))
    }

    fn by_trace(&self, case: &Case, model: Model) -> Result<Counter> {
        let file = tempfile::NamedTempFile::new().map_err(Error::file(&std::env::temp_dir(), "create"))?;
        self.run(case, self.program.options(&file.path().display().to_string()).into())?;
        let log = file.reopen().map_err(Error::file(file.path(), "read"))?;
        self.program.count(BufReader::with_capacity(1 << 16, log), model)
    }

    fn run(&self, case: &Case, options: Vec<String>) -> Result<Reply> {
        let mut qemu = Qemu::with_image(self.chip, self.image.clone());
        qemu.options = options;
        let bytes = qemu.run_bytes(case.model.bytes(), &case.request())?;
        let words: Vec<u32> = bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
        let failed =
            |reason: String| Error::CheckFailed(format!("{} on {}: {reason}", case.name(), self.chip.name));
        let [empty, ticks, over, length, ref rest @ ..] = words[..] else {
            return Err(failed(format!("a result of {} words", words.len())));
        };
        let (Some(&stack), Some(output)) = (rest.last(), rest.get(..length as usize)) else {
            return Err(failed(format!("a result of {} words", words.len())));
        };
        if output != case.expected {
            let first = output.iter().zip(&case.expected).position(|(found, expected)| found != expected);
            return Err(failed(format!(
                "not the bits of core on this host, first at word {} of {}",
                first.unwrap_or(output.len().min(case.expected.len())),
                case.expected.len()
            )));
        }
        Ok(Reply { empty, ticks, over: over != 0, stack })
    }
}

/// What the image answers besides its output, which was right.
struct Reply {
    empty: u32,
    ticks: u32,
    over: bool,
    stack: u32,
}
